//! Call-ID, tag and branch of a leg, derived from its uuid.
//!
//! Another process that knows only the leg can repeat them: that is how a CANCEL after a crash
//! matches its INVITE (RFC 3261 §9.1), and how a stray response is told from a foreign one.
//!
//! * Call-ID: `<uuid>@campanile`
//! * our tag: XXH3-64 of the uuid's 16 bytes under seed 1, as 16 hexadecimal digits
//! * branch: `z9hG4bK<uuid without hyphens>.<CSeq><letter>`; CANCEL and the ACK of a 3xx–6xx share
//!   the INVITE's letter `i` (§9.1, §17.1.1.3), others have their own
//!
//! The uuid's 74 random bits are what an outsider would have to guess to reach into a dialog.

use uuid::Uuid;
use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

use crate::domain::ids::LegId;

const CALL_ID_DOMAIN: &str = "@campanile";
const TAG_SEED: u64 = 1;

/// RFC 3261 §8.1.1.7: what every branch of its time begins with.
pub(super) const MAGIC_COOKIE: &str = "z9hG4bK";

/// The CSeq of every first INVITE. A CANCEL from another process counts on it.
pub(super) const INVITE_CSEQ: u32 = 1;

/// The name of the call.
pub(super) fn call_id(leg: LegId) -> String {
    format!("{leg}{CALL_ID_DOMAIN}")
}

/// The leg of a Call-ID that is of our making.
pub(super) fn leg_of(call_id: &str) -> Option<LegId> {
    let uuid = call_id.strip_suffix(CALL_ID_DOMAIN)?;
    // Only the spelling we write: 36 signs, lower case.
    let leg = LegId::from_uuid(Uuid::try_parse(uuid).ok()?);
    (leg.to_string() == uuid).then_some(leg)
}

/// Our half of the dialog's name.
pub(super) fn tag(leg: LegId) -> String {
    format!("{:016x}", xxh3_64_with_seed(leg.as_uuid().as_bytes(), TAG_SEED))
}

/// The branch of the INVITE, of its CANCEL and of the ACK to its refusal.
pub(super) fn invite_branch(leg: LegId, cseq: u32) -> String {
    format!("{MAGIC_COOKIE}{}.{cseq}i", leg.as_uuid().simple())
}

/// The branch of an ACK (`a`) or BYE (`b`) inside the dialog with this tag of theirs. Forks of one
/// call differ in the tag only, so it is part of the name.
pub(super) fn dialog_branch(leg: LegId, cseq: u32, letter: char, remote_tag: &str) -> String {
    let fork = xxh3_64(remote_tag.as_bytes()) & 0xffff_ffff;
    format!("{MAGIC_COOKIE}{}.{cseq}{letter}{fork:08x}", leg.as_uuid().simple())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn leg() -> LegId {
        LegId::from_uuid(Uuid::from_u128(0x0190_0000_0000_7000_8000_0000_0000_0001))
    }

    #[test]
    fn identifiers_are_pinned_because_another_version_must_find_them_again() {
        assert_eq!(call_id(leg()), "01900000-0000-7000-8000-000000000001@campanile");
        assert_eq!(tag(leg()), "9e3e66d68c3ace2a");
        assert_eq!(invite_branch(leg(), 1), "z9hG4bK01900000000070008000000000000001.1i");
    }

    #[test]
    fn only_a_call_id_of_our_spelling_has_a_leg() {
        assert_eq!(leg_of(&call_id(leg())), Some(leg()));
        for foreign in [
            "01900000000070008000000000000001@campanile",
            "x@campanile",
            "01900000-0000-7000-8000-000000000001",
        ] {
            assert_eq!(leg_of(foreign), None, "{foreign}");
        }
    }

    #[test]
    fn two_branches_of_a_fork_differ() {
        assert_ne!(dialog_branch(leg(), 2, 'b', "x"), dialog_branch(leg(), 2, 'b', "y"));
    }
}
