//! Settings are append-only versions, and every change of theirs leaves its line in the audit log.

use campanile::domain::agent::AgentSettings;
use campanile::domain::campaign::CampaignState;
use campanile::domain::ids::{AgentId, CampaignId};

use crate::world::{START, at, campaign_settings, each_db, trunk_settings};

#[tokio::test]
async fn every_version_of_a_campaigns_settings_can_be_read_for_ever() {
    for place in each_db().await {
        let db = &place.db;
        let trunk = db.create_trunk(&trunk_settings(), "user:1", START).await.unwrap();
        let first = campaign_settings(trunk);
        let id = db.create_campaign(&first, "user:1", START).await.unwrap();
        let mut second = first.clone();
        second.name = "зима".into();
        second.retry.after_s.clear();
        assert_eq!(db.set_campaign_settings(id, &second, "user:2", at(5)).await.unwrap(), 2);
        let row = db.campaign(id).await.unwrap().unwrap();
        assert_eq!((row.version, row.state), (2, CampaignState::Created), "{}", place.name);
        assert_eq!(row.settings, second, "{}", place.name);
        assert_eq!(db.campaign_at_version(id, 1).await.unwrap(), Some(first));
        assert_eq!(db.campaign_at_version(id, 3).await.unwrap(), None);
        assert_eq!(db.campaigns().await.unwrap(), [row], "{}", place.name);
        assert_eq!(db.campaign(CampaignId::new(77)).await.unwrap(), None, "{}", place.name);
    }
}

#[tokio::test]
async fn a_change_names_who_made_it_in_the_audit_log_newest_first() {
    for place in each_db().await {
        let db = &place.db;
        let trunk = db.create_trunk(&trunk_settings(), "user:1", START).await.unwrap();
        let settings = campaign_settings(trunk);
        let id = db.create_campaign(&settings, "user:1", START).await.unwrap();
        db.set_campaign_state(id, CampaignState::Running, "user:2", at(9)).await.unwrap();
        assert_eq!(db.campaign(id).await.unwrap().unwrap().state, CampaignState::Running);
        let page = db.audit_page(None, 2).await.unwrap();
        let lines: Vec<(&str, &str)> =
            page.iter().map(|row| (row.action.as_str(), row.made_by.as_str())).collect();
        let expected = [("campaign.state", "user:2"), ("campaign.created", "user:1")];
        assert_eq!(lines, expected, "{}", place.name);
        let older = db.audit_page(Some(page[1].id), 10).await.unwrap();
        assert_eq!(older.len(), 1);
        assert_eq!(older[0].action, "trunk.created", "{}", place.name);
    }
}

#[tokio::test]
async fn agents_are_kept_with_their_campaigns_and_a_change_of_nobody_is_an_error() {
    for place in each_db().await {
        let db = &place.db;
        let settings = AgentSettings {
            name: "Олена".into(),
            phone: "sip:101@127.0.0.1:5080".into(),
            campaigns: vec![CampaignId::new(3), CampaignId::new(1)],
        };
        let id = db.create_agent(&settings, "test", START).await.unwrap();
        assert_eq!(db.agents().await.unwrap()[0].settings, settings, "{}", place.name);
        assert_eq!(db.agent(id).await.unwrap().unwrap().version, 1);
        let nobody = db.set_agent_settings(AgentId::new(55), &settings, "test", START).await;
        assert!(nobody.is_err(), "{}", place.name);
        assert_eq!(place.number("SELECT COUNT(*) FROM agent_version").await, 1, "{}", place.name);
    }
}

#[tokio::test]
async fn a_database_is_opened_again_with_all_that_was_in_it() {
    for place in each_db().await {
        let trunk = place.db.create_trunk(&trunk_settings(), "test", START).await.unwrap();
        place.db.close().await;
        let again = campanile::adapters::store::Db::open(&place.url).await.unwrap();
        let row = again.trunk(trunk).await.unwrap().unwrap();
        assert_eq!(row.settings, trunk_settings(), "{}", place.name);
    }
}
