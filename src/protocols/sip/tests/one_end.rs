//! The promise of the floor: every leg gets exactly one end, whatever the network does.

use proptest::prelude::*;

use super::*;

const LEGS: u128 = 3;

/// One thing that happens to one leg.
#[derive(Debug, Clone)]
enum Step {
    /// Time passes.
    Wait(u64),
    /// The carrier answers the n-th last request of ours, under one of three tags.
    Answer {
        request: usize,
        status: u16,
        tag: usize,
    },
    /// An answer given before arrives again.
    Repeat(usize),
    /// The callee asks something inside the dialog of one of the tags.
    Ask {
        tag: usize,
        what: usize,
    },
    /// The dialer takes back or hangs up.
    Cancel,
    Bye,
    /// The socket refuses the n-th last datagram.
    SendError(usize),
}

fn step() -> impl Strategy<Value = (u128, Step)> {
    let status = prop_oneof![
        Just(100u16),
        Just(180),
        Just(183),
        Just(200),
        Just(202),
        Just(302),
        Just(481),
        Just(486),
        Just(487),
        Just(603),
        100u16..700
    ];
    let what = prop_oneof![
        4 => (0u64..5_000).prop_map(Step::Wait),
        1 => (5_000u64..70_000).prop_map(Step::Wait),
        8 => (0usize..4, status, 0usize..3)
            .prop_map(|(request, status, tag)| Step::Answer { request, status, tag }),
        3 => (0usize..6).prop_map(Step::Repeat),
        3 => (0usize..3, 0usize..5).prop_map(|(tag, what)| Step::Ask { tag, what }),
        2 => Just(Step::Cancel),
        2 => Just(Step::Bye),
        1 => (0usize..3).prop_map(Step::SendError),
    ];
    (1..=LEGS, what)
}

/// A leg's story in its events: an answer comes once and before an end of an answered call.
#[derive(Debug, Default, PartialEq, Eq)]
struct Story {
    answered: usize,
    ends: usize,
    wrong: Vec<String>,
}

impl Story {
    fn hear(&mut self, event: &Event) {
        let of_answered = match event {
            Event::Answered { .. } => {
                self.answered += 1;
                if self.ends > 0 || self.answered > 1 {
                    self.wrong.push("a late or second answer".into());
                }
                return;
            }
            Event::Progress { .. } if self.ends + self.answered > 0 => {
                return self.wrong.push("progress after the answer or the end".into());
            }
            Event::Ended { by: EndedBy::Them | EndedBy::Us | EndedBy::Lost, .. } => true,
            Event::Ended { by: EndedBy::CancelCrossedAnswer, .. } | Event::Failed { .. } => false,
            _ => return,
        };
        self.ends += 1;
        if of_answered != (self.answered == 1) {
            self.wrong.push(format!("{event:?} after {} answers", self.answered));
        }
    }
}

fn leg_of(event: &Event) -> Option<LegId> {
    match event {
        Event::Progress { leg, .. }
        | Event::Answered { leg, .. }
        | Event::Failed { leg, .. }
        | Event::Ended { leg, .. } => Some(*leg),
        _ => None,
    }
}

/// The carrier's side of the story: what it saw and said about one leg.
#[derive(Default)]
struct Carrier {
    seen: Vec<Request>,
    said: Vec<Vec<u8>>,
    asked: u32,
}

const TAGS: [&str; 3] = ["a", "b", "c"];

fn play(world: &mut World, carriers: &mut [Carrier], n: u128, step: &Step) {
    let index = usize::try_from(n - 1).unwrap();
    let carrier = &mut carriers[index];
    let last = |len: usize, back: usize| len.checked_sub(1 + back);
    match step {
        Step::Wait(ms) => world.pass(Duration::from_millis(*ms)),
        Step::Answer { request, status, tag } => {
            let Some(at) = last(carrier.seen.len(), *request) else { return };
            let draft = carrier.seen[at].answer(*status, Some(TAGS[*tag]));
            let draft = draft.header("Contact", "<sip:callee@198.51.100.1>").sdp(ANSWER);
            carrier.said.push(draft.to_bytes());
            world.receive(&draft);
        }
        Step::Repeat(back) => {
            let Some(at) = last(carrier.said.len(), *back) else { return };
            let bytes = carrier.said[at].clone();
            world.receive_from(CARRIER, &bytes);
        }
        Step::Ask { tag, what } => {
            let Some(invite) = carrier.seen.first() else { return };
            carrier.asked += 1;
            let method = ["BYE", "BYE", "INVITE", "UPDATE", "INFO"][*what];
            let cseq = format!("{} {method}", carrier.asked);
            let draft = from_callee(invite, TAGS[*tag], &cseq);
            carrier.said.push(draft.to_bytes());
            world.receive(&draft);
        }
        Step::Cancel => world.cancel(n),
        Step::Bye => world.bye(n),
        Step::SendError(back) => {
            let Some(at) = last(world.sent.len(), *back) else { return };
            let bytes = world.sent[at].1.clone();
            world.endpoint.handle_send_error(world.now, &bytes);
            world.collect();
        }
    }
}

/// Shows each carrier what was sent to it.
fn look(world: &World, from: usize, carriers: &mut [Carrier]) {
    for (_, bytes) in &world.sent[from..] {
        if let Ok(Message::Request(request)) = Message::parse(bytes)
            && let Some(leg) = ids::leg_of(&request.common.call_id)
            && request.method != Method::ACK
        {
            let n = (1..=LEGS).find(|n| super::leg(*n) == leg).unwrap();
            carriers[usize::try_from(n - 1).unwrap()].seen.push(request);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn every_leg_ends_exactly_once(steps in prop::collection::vec(step(), 0..60)) {
        let mut world = World::new();
        let mut carriers: Vec<_> = (0..LEGS).map(|_| Carrier::default()).collect();
        for n in 1..=LEGS {
            world.command(Command::Invite(invite_to(n, &[])));
        }
        let mut looked = 0;
        for (n, step) in &steps {
            look(&world, looked, &mut carriers);
            looked = world.sent.len();
            play(&mut world, &mut carriers, *n, step);
        }
        // The dialer wants every leg over and the carrier has fallen silent.
        for n in 1..=LEGS {
            world.bye(n);
        }
        world.pass(secs(200));
        for n in 1..=LEGS {
            let mut story = Story::default();
            let told = world.events.iter().filter(|e| leg_of(e) == Some(leg(n)));
            told.for_each(|event| story.hear(event));
            prop_assert!(story.wrong.is_empty(), "{:?}", story.wrong);
            prop_assert_eq!(story.ends, 1);
        }
        prop_assert!(world.endpoint.is_idle());
        prop_assert_eq!(world.endpoint.poll_timeout(), None);
    }

    #[test]
    fn every_leg_of_a_dead_process_ends_exactly_once(
        answered: [bool; 3],
        steps in prop::collection::vec(step(), 0..40),
    ) {
        let mut world = World::seeded(2);
        let mut carriers: Vec<_> = (0..LEGS).map(|_| Carrier::default()).collect();
        for (n, answered) in (1..=LEGS).zip(answered) {
            let mut before = World::seeded(1);
            let invite = before.dial(n);
            let mut orphan = invite_to(n, &[]).orphan(addr(LOCAL));
            if answered {
                before.receive(&ok(&invite, TAGS[0]));
                let answer = before.events.pop();
                let Some(Event::Answered { dialog, .. }) = answer else { panic!("{answer:?}") };
                orphan.dialog = Some(*dialog);
            }
            carriers[usize::try_from(n - 1).unwrap()].seen.push(invite);
            world.command(Command::Orphan(Box::new(orphan)));
        }
        let mut looked = 0;
        for (n, step) in &steps {
            look(&world, looked, &mut carriers);
            looked = world.sent.len();
            play(&mut world, &mut carriers, *n, step);
        }
        world.pass(secs(200));
        for n in 1..=LEGS {
            let is_end = |e: &&Event| matches!(e, Event::OrphanEnded { leg: l, .. } if *l == leg(n));
            prop_assert_eq!(world.events.iter().filter(is_end).count(), 1);
        }
        prop_assert_eq!(world.events.len(), 3);
        prop_assert!(world.endpoint.is_idle());
    }
}
