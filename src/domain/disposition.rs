//! The agent's choice at the end of a call, and what follows from it (the business outcome).

use serde::{Deserialize, Serialize};

use super::time::Utc;

/// One choice on the agent's page.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DispositionChoice {
    /// Stable code, for example `sale`.
    pub code: String,
    /// What the agent reads.
    pub label: String,
    /// What follows unless the agent chooses otherwise.
    pub next: NextAction,
}

/// The business outcome: what is to happen with the contact.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum NextAction {
    /// Nothing more to do with this contact in this campaign.
    Close,
    /// Try again as the retry rules say.
    Retry,
    /// A call promised to the person at this time.
    Callback {
        /// When, UTC milliseconds.
        at: Utc,
    },
    /// Never call this number again.
    DoNotCall,
}

/// What every campaign starts with.
pub fn default_choices() -> Vec<DispositionChoice> {
    let choice = |code: &str, label: &str, next| DispositionChoice {
        code: code.to_owned(),
        label: label.to_owned(),
        next,
    };
    vec![
        choice("success", "Success", NextAction::Close),
        choice("not_interested", "Not interested", NextAction::Close),
        choice("answering_machine", "Answering machine", NextAction::Retry),
        choice("wrong_person", "Wrong person", NextAction::Close),
        choice("do_not_call", "Do not call again", NextAction::DoNotCall),
    ]
}
