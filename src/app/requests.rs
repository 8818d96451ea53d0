//! What pages and machines ask of the driver through the gate, and when they are answered.

use tokio::sync::oneshot;

use super::driver::{CHECK_MAX, Driver};
use crate::adapters::gate::{Request, TrunkCheck};
use crate::domain::agent::AgentRefusal;
use crate::domain::ids::TrunkId;
use crate::engine::input::{AgentCommand, Input};
use crate::protocols::sip;

impl Driver {
    pub(super) fn request(&mut self, request: Request) {
        match request {
            Request::Agent(agent, command, answer) => {
                self.refusal = None;
                let disposed = match &command {
                    AgentCommand::Dispose { attempt, .. } => Some(*attempt),
                    _ => None,
                };
                self.recorded = None;
                self.feed(Input::Agent(agent, command));
                let refused = self.refusal.take().filter(|(who, _)| *who == agent);
                match (refused, disposed) {
                    (Some((_, why)), _) => drop(answer.send(Err(why))),
                    (None, None) => drop(answer.send(Ok(()))),
                    (None, Some(attempt)) if self.recorded == Some(attempt) => {
                        self.when_written(answer);
                    }
                    // The call's end is still to come: answered when both are on the disk.
                    (None, Some(attempt)) => drop(self.dispositions.insert(attempt, answer)),
                }
            }
            Request::HangUp(attempt) => self.feed(Input::HangUp(attempt)),
            Request::Reload(what, done) => self.reload(what, done),
            Request::CheckTrunk(trunk, answer) => self.check_trunk(trunk, answer),
        }
    }

    /// Answers once everything so far is on the disk: what an agent was told is kept stays kept.
    pub(super) fn when_written(&self, answer: oneshot::Sender<Result<(), AgentRefusal>>) {
        let writer = self.writer.clone();
        tokio::spawn(async move {
            // A writer that ended first has written everything too.
            writer.flush().await;
            answer.send(Ok(())).ok();
        });
    }

    fn check_trunk(&mut self, trunk: TrunkId, answer: oneshot::Sender<TrunkCheck>) {
        let Some(trunk) = self.book.trunk(trunk) else {
            let note = "its SIP profile cannot be used; the log says why".to_owned();
            answer.send(TrunkCheck { alive: false, status: None, took_ms: 0, note }).ok();
            return;
        };
        let id = self.next_check;
        self.next_check += 1;
        let command = sip::Command::Options { id, target: trunk.target() };
        self.checks.insert(id, (self.clock.mono(), answer));
        self.command(command);
    }

    pub(super) fn trunk_checked(&mut self, id: u64, status: Option<u16>) {
        let Some((asked, answer)) = self.checks.remove(&id) else { return };
        let took = self.clock.mono().since(asked);
        let note = match status {
            None => {
                format!("no answer in {} s: check address and firewall", CHECK_MAX.as_secs())
            }
            Some(200..=299) => "the trunk answers".to_owned(),
            Some(status) => format!("the trunk is there and answered OPTIONS with {status}"),
        };
        let took_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
        answer.send(TrunkCheck { alive: status.is_some(), status, took_ms, note }).ok();
    }
}
