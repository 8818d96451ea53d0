//! Settings as last read from the store: what the engine's ids stand for.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use ipnet::IpNet;

use super::dial_plan::{Trunk, phone_address};
use super::sip_profiles::{self, ProfileError};
use crate::adapters::store::Db;
use crate::adapters::store::StoreError;
use crate::adapters::store::agents::AgentRow;
use crate::adapters::store::campaigns::CampaignRow;
use crate::adapters::store::contacts::ContactCard;
use crate::adapters::store::trunks::TrunkRow;
use crate::adapters::views::{CardView, DispositionView};
use crate::domain::disposition::NextAction;
use crate::domain::ids::{AgentId, CampaignId, TrunkId};

/// Campaigns, trunks and agents by id.
#[derive(Debug, Default)]
pub struct Book {
    data_dir: PathBuf,
    campaigns: BTreeMap<CampaignId, CampaignRow>,
    trunks: BTreeMap<TrunkId, Trunk>,
    agents: BTreeMap<AgentId, AgentRow>,
}

impl Book {
    /// Reads everything. A trunk whose profile cannot be used is left out: it must not keep the
    /// program, through which it can be mended, from starting.
    pub async fn read(db: &Db, data_dir: PathBuf) -> Result<Self, StoreError> {
        let mut book = Self { data_dir, ..Self::default() };
        for row in db.trunks().await? {
            let id = row.id;
            if let Err(error) = book.put_trunk(row) {
                tracing::error!(trunk = %id, %error, "trunk not usable");
            }
        }
        for row in db.campaigns().await? {
            book.put_campaign(row);
        }
        for row in db.agents().await? {
            book.put_agent(row);
        }
        Ok(book)
    }

    /// Where own SIP profiles and messages stand.
    pub fn data_dir(&self) -> &Path {
        &self.data_dir
    }

    /// Takes in a campaign's newest settings.
    pub fn put_campaign(&mut self, row: CampaignRow) {
        self.campaigns.insert(row.id, row);
    }

    /// Takes in a trunk's newest settings.
    pub fn put_trunk(&mut self, row: TrunkRow) -> Result<(), ProfileError> {
        let profile = sip_profiles::load(&self.data_dir, &row.settings.profile)?;
        self.trunks.insert(row.id, Trunk { settings: row.settings, profile });
        Ok(())
    }

    /// Takes in an agent's newest settings.
    pub fn put_agent(&mut self, row: AgentRow) {
        self.agents.insert(row.id, row);
    }

    /// A campaign.
    pub fn campaign(&self, id: CampaignId) -> Option<&CampaignRow> {
        self.campaigns.get(&id)
    }

    /// A trunk.
    pub fn trunk(&self, id: TrunkId) -> Option<&Trunk> {
        self.trunks.get(&id)
    }

    /// An agent.
    pub fn agent(&self, id: AgentId) -> Option<&AgentRow> {
        self.agents.get(&id)
    }

    /// From where requests that open a dialog are answered: trunks, their networks, agents' phones.
    pub fn networks(&self) -> Vec<IpNet> {
        let trunks = self.trunks.values().flat_map(|trunk| {
            let own = IpNet::from(trunk.settings.address.ip());
            trunk.settings.networks.iter().copied().chain([own])
        });
        let phones = self.agents.values().filter_map(|row| {
            phone_address(&row.settings.phone).ok().map(|address| IpNet::from(address.ip()))
        });
        let all: BTreeSet<IpNet> = trunks.chain(phones).collect();
        all.into_iter().collect()
    }

    /// What an agent's page shows of a contact.
    pub fn card(&self, campaign: CampaignId, card: &ContactCard) -> CardView {
        let mut view = CardView {
            contact: card.contact.get(),
            campaign: campaign.get(),
            name: card.name.clone(),
            number: card.number.to_string(),
            external_ref: card.external_ref.clone(),
            zone: card.zone.name().to_owned(),
            fields: card.fields.clone(),
            crm_url: crm_url(&card.fields),
            ..CardView::default()
        };
        if let Some(row) = self.campaigns.get(&campaign) {
            view.campaign_name.clone_from(&row.settings.name);
            view.script = fill_script(&row.settings.script, card);
            view.dispositions = row
                .settings
                .dispositions
                .iter()
                .map(|choice| DispositionView {
                    code: choice.code.clone(),
                    label: choice.label.clone(),
                    next: next_word(choice.next).to_owned(),
                })
                .collect();
        }
        view
    }
}

/// A page of the CRM, if the list has a column for it and it is a web address.
fn crm_url(fields: &[(String, String)]) -> Option<String> {
    let (_, url) = fields.iter().find(|(name, _)| name == "crm_url")?;
    (url.starts_with("https://") || url.starts_with("http://")).then(|| url.clone())
}

/// Puts `{name}` and `{field}` into the script; a field that the contact lacks stays as it is.
fn fill_script(script: &str, card: &ContactCard) -> String {
    let mut filled = script.replace("{name}", &card.name);
    for (field, value) in &card.fields {
        filled = filled.replace(&format!("{{{field}}}"), value);
    }
    filled
}

const fn next_word(next: NextAction) -> &'static str {
    match next {
        NextAction::Close => "close",
        NextAction::Retry => "retry",
        NextAction::Callback { .. } => "callback",
        NextAction::DoNotCall => "do_not_call",
    }
}
