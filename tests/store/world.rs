//! Databases to test on, and the settings that most tests start from.

use campanile::adapters::store::Db;
use campanile::adapters::store::lists::NewContact;
use campanile::domain::abandon::AbandonLimit;
use campanile::domain::calling_hours::CallingHours;
use campanile::domain::campaign::{CampaignSettings, Mode};
use campanile::domain::contact::NumberType;
use campanile::domain::ids::{CampaignId, ListId, TrunkId};
use campanile::domain::phone::E164;
use campanile::domain::time::Utc;
use campanile::domain::trunk::TrunkSettings;
use chrono_tz::Tz;

/// A Monday noon; every test's time is counted from here.
pub const START: Utc = Utc::from_ms(1_760_000_000_000);

/// One database to test on.
pub struct Place {
    pub name: &'static str,
    pub url: String,
    pub db: Db,
    _folder: tempfile::TempDir,
}

/// An empty database of each kind.
pub async fn each_db() -> Vec<Place> {
    let mut places = vec![];
    for (name, is_postgres) in [("sqlite", false), ("postgres", true)] {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("campanile.db");
        let url =
            if is_postgres { crate::postgres::url() } else { format!("sqlite:{}", file.display()) };
        let db = Db::open(&url).await.unwrap();
        places.push(Place { name, url, db, _folder: folder });
    }
    places
}

/// `ms` after [`START`].
pub fn at(ms: i64) -> Utc {
    Utc::from_ms(START.as_ms() + ms)
}

pub fn trunk_settings() -> TrunkSettings {
    TrunkSettings {
        name: "lab".into(),
        profile: "lab".into(),
        address: "127.0.0.1:5060".parse().unwrap(),
        domain: String::new(),
        caller_ids: vec![E164::parse("+12125550100").unwrap()],
        calls_per_second: 50,
        lines: 100,
        allowed_prefixes: vec!["1".into(), "44".into()],
        networks: vec![],
        username: None,
        password: None,
    }
}

pub fn campaign_settings(trunk: TrunkId) -> CampaignSettings {
    CampaignSettings {
        name: "autumn".into(),
        mode: Mode::Predictive,
        legal_zone: Tz::UTC,
        calling_hours: CallingHours::all_day(),
        abandon_limit: AbandonLimit::us(Tz::UTC, "2025-10-01".parse().unwrap()),
        ring_timeout_ms: 20_000,
        wrap_up_ms: 0,
        attempts_max: 3,
        number_gap_s: 60,
        retry: Default::default(),
        trunk,
        lines_max: 100,
        preview_timeout_ms: 0,
        abandon_message: String::new(),
        script: String::new(),
        dispositions: vec![],
    }
}

/// `n` people with numbers of their own, priority 0.
pub fn people(n: u32) -> Vec<NewContact> {
    (0..n).map(|i| person(i, 0)).collect()
}

pub fn person(i: u32, priority: i32) -> NewContact {
    NewContact {
        external_ref: format!("crm-{i}"),
        name: format!("Людина {i}"),
        number: E164::from_digits(12_120_000_000 + u64::from(i)).unwrap(),
        zone: Tz::America__New_York,
        number_type: NumberType::FixedOrMobile,
        priority,
        fields: vec![("city".into(), "Львів".into())],
    }
}

/// A committed list.
pub async fn list(db: &Db, contacts: &[NewContact]) -> ListId {
    let list = db.begin_list("segment", "test", START).await.unwrap();
    db.add_contacts(list, contacts, START).await.unwrap();
    db.commit_list(list, START).await.unwrap();
    list
}

/// A trunk and a campaign that dials `contacts` through it.
pub async fn campaign(db: &Db, contacts: &[NewContact]) -> CampaignId {
    let trunk = db.create_trunk(&trunk_settings(), "test", START).await.unwrap();
    let settings = campaign_settings(trunk);
    let campaign = db.create_campaign(&settings, "test", START).await.unwrap();
    let list = list(db, contacts).await;
    db.set_campaign_lists(campaign, &[list], "test", START).await.unwrap();
    campaign
}
