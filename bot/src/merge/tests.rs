//! The decision as a table: each row changes one thing of a pull request that would be merged, and says what follows.
//! Then what holds beside the table: when to look again, and which head a request means.

use std::collections::{BTreeMap, BTreeSet};

use gix::ObjectId;
use jiff::{SignedDuration, Timestamp};

use super::decide::*;
use super::pin::{PinFault, SeenHead, ShaPrefix, digits, pin};
use super::reason::Reason;
use crate::commands::grammar::Grammar;
use crate::forge::*;
use crate::plan::{Hold, Pause};
use crate::pulls::OurHead;

fn id(digit: char) -> ObjectId {
    ObjectId::from_hex(digit.to_string().repeat(40).as_bytes()).unwrap()
}

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + seconds).unwrap()
}

const DAY: i64 = 24 * 60 * 60;

/// Facts that own what they tell.
struct World {
    request: Request,
    pull: ForgePull,
    head_since: Timestamp,
    ours: BTreeMap<ObjectId, OurHead>,
    checks: Vec<Check>,
    habitual: Vec<String>,
    rules: Rules,
    reviews: Vec<Review>,
    behind: bool,
    unknown_mergeable: u32,
    standing: Standing,
    hold: Option<Hold>,
    pause: Option<Pause>,
    misconfigured: Option<&'static str>,
    images: Vec<Image>,
    attempt: Option<Attempt>,
    config: MergeConfig,
    now: Timestamp,
}

impl World {
    /// A pull request with nothing in its way: its head stands for an hour, it was asked for half an hour later.
    fn new() -> Self {
        Self {
            request: Request {
                head: id('a'),
                base: "main".into(),
                method: None,
                now: false,
                by: "alice".into(),
                asked_at: at(1800),
            },
            pull: ForgePull {
                number: 7,
                state: PullState::Open,
                title: "Update web/podinfo".into(),
                body: String::new(),
                author: Person { id: 1, login: "leadsman".into() },
                branch: "leadsman/web-podinfo-01234567".into(),
                same_repository: true,
                head: id('a'),
                base: "main".into(),
                labels: Vec::new(),
                mergeable: Mergeable::Yes,
                merge_commit: None,
                closed_by: None,
                url: "https://forge.example/acme/fleet/pulls/7".into(),
                updated_at: at(0),
            },
            head_since: at(0),
            ours: BTreeMap::new(),
            checks: Vec::new(),
            habitual: Vec::new(),
            rules: Rules::default(),
            reviews: Vec::new(),
            behind: false,
            unknown_mergeable: 0,
            standing: Standing::May,
            hold: None,
            pause: None,
            misconfigured: None,
            images: vec![Image::Same],
            attempt: None,
            config: MergeConfig::default(),
            now: at(3600),
        }
    }

    fn check(&mut self, name: &str, state: CheckState) {
        let at = at(60 + i64::try_from(self.checks.len()).unwrap());
        self.checks.push(Check { name: name.into(), state, url: None, at });
    }

    fn require(&mut self, pattern: &str) {
        self.rules.required_checks.push(pattern.into());
    }

    fn review(&mut self, opinion: Opinion, counts: bool) {
        let number = i64::try_from(self.reviews.len()).unwrap() + 10;
        let author = Person { id: number, login: format!("reviewer-{number}") };
        self.reviews.push(Review { author, opinion, commit: Some(id('a')), counts, stale: false });
    }

    fn our_head(&mut self, digit: char, print: &str) {
        self.ours.insert(id(digit), OurHead { base: id('0'), content_print: print.into() });
    }

    fn decide(&self) -> Decided {
        decide(&Facts {
            request: &self.request,
            pull: &self.pull,
            head_since: self.head_since,
            ours: &self.ours,
            checks: &self.checks,
            habitual: &self.habitual,
            own_checks: "leadsman/",
            rules: &self.rules,
            reviews: &self.reviews,
            behind: self.behind,
            unknown_mergeable: self.unknown_mergeable,
            standing: self.standing,
            hold: self.hold.as_ref(),
            pause: self.pause.as_ref(),
            misconfigured: self.misconfigured,
            images: &self.images,
            attempt: self.attempt.as_ref(),
            config: &self.config,
            now: self.now,
        })
    }
}

/// `merge aaaaaaa merge`, `wait held, paused` or `drop closed`, and the notes behind a semicolon.
fn in_words(decided: &Decided) -> String {
    let mut text = match &decided.verdict {
        Verdict::Wait(reasons) => {
            format!("wait {}", reasons.iter().map(Reason::name).collect::<Vec<_>>().join(", "))
        }
        Verdict::Merge { head, method } => {
            format!("merge {} {}", head.to_hex_with_len(7), crate::commands::method_word(*method))
        }
        Verdict::Drop(reason) => format!("drop {}", reason.name()),
    };
    for note in &decided.notes {
        text.push_str(match note {
            Note::NoChecksExpected => "; no checks expected",
            Note::HabitualCheckDropped(_) => "; habitual check dropped",
        });
    }
    text
}

type Row = (&'static str, fn(&mut World), &'static str);

use CheckState::{Failure, Neutral, Pending, Skipped, Success};

const ROWS: &[Row] = &[
    // Nothing in the way.
    ("no check anywhere", |_| {}, "merge aaaaaaa merge; no checks expected"),
    (
        "the method asked for",
        |w| w.request.method = Some(MergeMethod::Squash),
        "merge aaaaaaa squash; no checks expected",
    ),
    ("the method configured", |w| w.config.method = MergeMethod::Rebase, "merge aaaaaaa rebase; no checks expected"),
    ("green", |w| w.check("ci", Success), "merge aaaaaaa merge"),
    (
        "all that is not failed is green",
        |w| {
            w.check("a", Success);
            w.check("b", Neutral);
            w.check("c", Skipped);
        },
        "merge aaaaaaa merge",
    ),
    // Checks.
    ("a check that nobody expected runs", |w| w.check("ci", Pending), "wait check-pending"),
    ("a check that nobody expected failed", |w| w.check("ci", Failure), "wait check-failed"),
    (
        "asked for now, in spite of such checks",
        |w| {
            w.request.now = true;
            w.check("a", Pending);
            w.check("b", Failure);
        },
        "merge aaaaaaa merge",
    ),
    (
        "asked for now, with a required check running",
        |w| {
            w.request.now = true;
            w.require("ci");
            w.check("ci", Pending);
        },
        "wait check-pending",
    ),
    (
        "asked for now, with a required check failed",
        |w| {
            w.request.now = true;
            w.require("ci");
            w.check("ci", Failure);
        },
        "wait check-failed",
    ),
    ("a required check is missing", |w| w.require("ci"), "wait required-check-missing"),
    (
        "a required check is missing for days",
        |w| {
            w.require("ci");
            w.now = at(5 * DAY);
        },
        "wait required-check-missing",
    ),
    (
        "asked for now, with a required check missing",
        |w| {
            w.request.now = true;
            w.require("ci");
        },
        "wait required-check-missing",
    ),
    (
        "a required check is green",
        |w| {
            w.require("ci");
            w.check("ci", Success);
            w.now = at(1801);
            w.head_since = at(1800);
        },
        "merge aaaaaaa merge",
    ),
    (
        "a pattern, half of it green",
        |w| {
            w.require("ci/*");
            w.check("ci/build", Success);
            w.check("ci/test", Pending);
        },
        "wait check-pending",
    ),
    (
        "a pattern that means nothing that is there",
        |w| {
            w.require("ci/*");
            w.check("lint", Success);
        },
        "wait required-check-missing",
    ),
    (
        "a pattern that we do not understand",
        |w| {
            w.require("ci/{a,b}");
            w.check("ci/a", Success);
        },
        "wait required-check-missing",
    ),
    (
        "only the newest run of a name counts",
        |w| {
            w.check("ci", Failure);
            w.check("ci", Success);
        },
        "merge aaaaaaa merge",
    ),
    (
        "only the newest run of a name counts, in any order",
        |w| {
            w.check("ci", Success);
            w.check("ci", Failure);
            w.checks.reverse();
        },
        "wait check-failed",
    ),
    ("our own checks do not count", |w| w.check("leadsman/merge", Pending), "merge aaaaaaa merge; no checks expected"),
    (
        "our own checks do not count, even if required",
        |w| {
            w.require("leadsman/merge");
            w.check("leadsman/merge", Pending);
        },
        "merge aaaaaaa merge; no checks expected",
    ),
    (
        "our own checks fulfil no pattern",
        |w| {
            w.require("*");
            w.check("leadsman/merge", Success);
        },
        "wait required-check-missing",
    ),
    (
        "a habitual check has not appeared",
        |w| {
            w.habitual.push("ci".into());
            w.now = at(599);
            w.request.asked_at = at(1);
        },
        "wait habitual-check-missing",
    ),
    (
        "a habitual check did not appear in ten minutes",
        |w| {
            w.habitual.push("ci".into());
            w.now = at(600);
            w.request.asked_at = at(1);
        },
        "merge aaaaaaa merge; habitual check dropped",
    ),
    (
        "asked for now, a habitual check is not waited for",
        |w| {
            w.request.now = true;
            w.habitual.push("ci".into());
            w.now = at(10);
            w.request.asked_at = at(1);
        },
        "merge aaaaaaa merge",
    ),
    (
        "a habitual check that is required is named once",
        |w| {
            w.require("ci");
            w.habitual.push("ci".into());
        },
        "wait required-check-missing",
    ),
    (
        "a habitual check of our own",
        |w| {
            w.habitual.push("leadsman/merge".into());
            w.now = at(61);
            w.request.asked_at = at(1);
        },
        "merge aaaaaaa merge; no checks expected",
    ),
    (
        "a habitual check is green at once",
        |w| {
            w.habitual.push("ci".into());
            w.check("ci", Success);
            w.head_since = at(1799);
            w.now = at(1801);
        },
        "merge aaaaaaa merge",
    ),
    (
        "nothing is expected right after a push",
        |w| {
            w.head_since = at(1790);
            w.now = at(1849);
        },
        "wait settling; no checks expected",
    ),
    (
        "something green right after a push, which nobody expected",
        |w| {
            w.check("ci", Success);
            w.head_since = at(1790);
            w.now = at(1849);
        },
        "wait settling",
    ),
    (
        "nothing is expected, and the head has settled",
        |w| {
            w.head_since = at(1790);
            w.now = at(1850);
        },
        "merge aaaaaaa merge; no checks expected",
    ),
    (
        "asked for now, right after a push",
        |w| {
            w.request.now = true;
            w.head_since = at(1790);
            w.now = at(1801);
        },
        "merge aaaaaaa merge",
    ),
    // Reviews.
    ("no approval", |w| w.rules.required_approvals = 1, "wait reviews-missing; no checks expected"),
    (
        "asked for now, reviews still count",
        |w| {
            w.request.now = true;
            w.rules.required_approvals = 1;
        },
        "wait reviews-missing",
    ),
    (
        "enough approvals",
        |w| {
            w.rules.required_approvals = 2;
            w.review(Opinion::Approved, true);
            w.review(Opinion::Approved, true);
        },
        "merge aaaaaaa merge; no checks expected",
    ),
    (
        "approvals that do not count",
        |w| {
            w.rules.required_approvals = 1;
            w.review(Opinion::Approved, false);
            w.review(Opinion::Commented, true);
        },
        "wait reviews-missing; no checks expected",
    ),
    (
        "somebody asked for changes",
        |w| {
            w.rules.blocked_by_rejection = true;
            w.review(Opinion::Rejected, true);
        },
        "wait rejected; no checks expected",
    ),
    (
        "somebody asked for changes, which does not block here",
        |w| w.review(Opinion::Rejected, true),
        "merge aaaaaaa merge; no checks expected",
    ),
    (
        "somebody asked for changes, which was dismissed",
        |w| {
            w.rules.blocked_by_rejection = true;
            w.review(Opinion::Rejected, false);
        },
        "merge aaaaaaa merge; no checks expected",
    ),
    // The forge.
    (
        "behind its base, where that matters",
        |w| {
            w.rules.must_be_up_to_date = true;
            w.behind = true;
        },
        "wait behind; no checks expected",
    ),
    ("behind its base, where that does not matter", |w| w.behind = true, "merge aaaaaaa merge; no checks expected"),
    ("a conflict", |w| w.pull.mergeable = Mergeable::Conflict, "wait conflict; no checks expected"),
    (
        "the forge does not know yet",
        |w| w.pull.mergeable = Mergeable::Unknown,
        "wait mergeable-unknown; no checks expected",
    ),
    (
        "the forge said not now",
        |w| {
            let answer = MergeAnswer::Again("try later".into());
            w.attempt = Some(Attempt { answer, at: at(3595), count: 1 });
        },
        "wait forge-refused; no checks expected",
    ),
    (
        "the forge said not now, a while ago",
        |w| {
            let answer = MergeAnswer::Again("try later".into());
            w.attempt = Some(Attempt { answer, at: at(3590), count: 1 });
        },
        "merge aaaaaaa merge; no checks expected",
    ),
    (
        "the forge said not now, again and again",
        |w| {
            let answer = MergeAnswer::Again("try later".into());
            w.attempt = Some(Attempt { answer, at: at(3590), count: 2 });
        },
        "wait forge-refused; no checks expected",
    ),
    (
        "the forge said not now, and we know why",
        |w| {
            w.check("ci", Pending);
            let answer = MergeAnswer::Again("try later".into());
            w.attempt = Some(Attempt { answer, at: at(3595), count: 1 });
        },
        "wait check-pending",
    ),
    (
        "the forge said never",
        |w| {
            let answer = MergeAnswer::Drop("not this head".into());
            w.attempt = Some(Attempt { answer, at: at(3595), count: 1 });
        },
        "drop forge-refused-head",
    ),
    ("the bot may not merge", |w| w.rules.bot_may_not_merge = true, "drop bot-may-not-merge"),
    ("the method is not allowed", |w| w.config.allowed = vec![MergeMethod::Squash], "drop method-not-allowed"),
    // People.
    ("held", |w| w.hold = Some(Hold { by: "bob".into(), until: None, reason: None }), "wait held; no checks expected"),
    (
        "held until later",
        |w| w.hold = Some(Hold { by: "bob".into(), until: Some(at(3601)), reason: None }),
        "wait held; no checks expected",
    ),
    (
        "held until now",
        |w| w.hold = Some(Hold { by: "bob".into(), until: Some(at(3600)), reason: None }),
        "merge aaaaaaa merge; no checks expected",
    ),
    (
        "asked for now, and held",
        |w| {
            w.request.now = true;
            w.hold = Some(Hold { by: "bob".into(), until: None, reason: None });
        },
        "wait held",
    ),
    (
        "paused",
        |w| w.pause = Some(Pause { by: "bob".into(), reason: None, since: at(0) }),
        "wait paused; no checks expected",
    ),
    (
        "its configuration cannot be used",
        |w| w.misconfigured = Some("it is no mapping"),
        "wait misconfigured; no checks expected",
    ),
    ("who asked may not any more", |w| w.standing = Standing::MayNot, "drop requester-may-not"),
    (
        "nobody knows whether who asked may",
        |w| w.standing = Standing::Unknown,
        "wait requester-unknown; no checks expected",
    ),
    // The pull request.
    ("merged meanwhile", |w| w.pull.state = PullState::Merged, "drop already-merged"),
    ("closed meanwhile", |w| w.pull.state = PullState::Closed, "drop closed"),
    ("for another base", |w| w.pull.base = "release".into(), "drop base-changed"),
    ("a week old", |w| w.now = at(1800 + 7 * DAY), "drop expired"),
    ("almost a week old", |w| w.now = at(1799 + 7 * DAY), "merge aaaaaaa merge; no checks expected"),
    (
        "merged by hand after a week",
        |w| {
            w.pull.state = PullState::Merged;
            w.now = at(1800 + 7 * DAY);
        },
        "drop already-merged",
    ),
    ("somebody pushed", |w| w.pull.head = id('b'), "drop head-moved"),
    (
        "we rebuilt it, the same",
        |w| {
            w.our_head('a', "print");
            w.our_head('b', "print");
            w.pull.head = id('b');
        },
        "merge bbbbbbb merge; no checks expected",
    ),
    (
        "we rebuilt it, with something newer",
        |w| {
            w.our_head('a', "print");
            w.our_head('b', "other");
            w.pull.head = id('b');
        },
        "drop head-moved",
    ),
    (
        "somebody pushed onto what we rebuilt",
        |w| {
            w.our_head('a', "print");
            w.pull.head = id('b');
        },
        "drop head-moved",
    ),
    (
        "a person's commit was asked for, and we rebuilt it",
        |w| {
            w.our_head('b', "print");
            w.pull.head = id('b');
        },
        "drop head-moved",
    ),
    // The images.
    ("the image is gone", |w| w.images.push(Image::Gone("app:1".into())), "drop image-gone"),
    ("the tag was moved", |w| w.images.push(Image::Moved("app:1".into())), "drop digest-moved"),
    (
        "the registry does not answer",
        |w| w.images.push(Image::Unknown("app:1".into())),
        "wait image-unknown; no checks expected",
    ),
    // All at once, in the order in which they are told.
    (
        "everything",
        |w| {
            w.hold = Some(Hold { by: "bob".into(), until: None, reason: None });
            w.pause = Some(Pause { by: "bob".into(), reason: None, since: at(0) });
            w.require("ci");
            w.check("lint", Failure);
            w.rules.required_approvals = 1;
            w.pull.mergeable = Mergeable::Conflict;
        },
        "wait held, paused, required-check-missing, check-failed, reviews-missing, conflict",
    ),
];

#[test]
fn the_verdict_is_what_the_table_says_c3_1_c3_2_c3_5() {
    let mut wrong = Vec::new();
    for (name, change, wanted) in ROWS {
        let mut world = World::new();
        change(&mut world);
        let found = in_words(&world.decide());
        if found != *wanted {
            wrong.push(format!("{name}\n  wanted {wanted}\n  found  {found}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_reason_has_a_row_and_words_c3_5() {
    let grammar = Grammar { handle: "leadsman".into(), slash: true };
    let mut seen = BTreeSet::new();
    for (_, change, _) in ROWS {
        let mut world = World::new();
        change(&mut world);
        let decided = world.decide();
        assert!(decided.notes.iter().all(|note| !note.words().is_empty()));
        let reasons = match decided.verdict {
            Verdict::Wait(reasons) => reasons,
            Verdict::Drop(reason) => vec![reason],
            Verdict::Merge { .. } => continue,
        };
        assert!(!reasons.is_empty());
        for reason in reasons {
            let (words, who) = (reason.words(), reason.who(&grammar));
            assert!(words.len() > 8 && who.len() > 8, "{words}; {who}");
            for text in [&words, &who] {
                assert!(!text.ends_with('.') && text.matches('`').count() % 2 == 0, "{text}");
            }
            let json = serde_json::to_value(&reason).unwrap();
            assert_eq!(json["reason"], reason.name());
            assert_eq!(serde_json::from_value::<Reason>(json).unwrap(), reason);
            seen.insert(reason.name());
        }
    }
    let all = BTreeSet::from(Reason::NAMES);
    assert_eq!(seen, all, "missing: {:?}", all.difference(&seen));
}

#[test]
fn words_keep_backticks_of_others_out() {
    let reason = Reason::Held { by: "bob".into(), until: Some(at(0)), why: Some("see `x` /merge".into()) };
    assert_eq!(reason.words(), "it is held by `bob` until 2027-01-15 08:00 UTC: `see 'x' /merge`");
}

#[test]
fn looking_again_is_never_too_early_nor_too_late_c3_5() {
    let soon = |reasons: Vec<Reason>| {
        next_look(&Verdict::Wait(reasons), at(5000), at(100)).map(|time| time.as_second() - at(100).as_second())
    };
    let settling = Reason::Settling { until: at(130) };
    let running = Reason::CheckPending { name: "ci".into(), required: true };
    let held = |until: Option<i64>| Reason::Held { by: "bob".into(), until: until.map(at), why: None };
    assert_eq!(soon(vec![settling.clone()]), Some(30));
    assert_eq!(soon(vec![running.clone()]), Some(60));
    // Both have to go.
    assert_eq!(soon(vec![settling.clone(), running.clone()]), Some(60));
    assert_eq!(soon(vec![held(Some(1100)), running.clone()]), Some(1000));
    // Not later than in an hour, nor than it expires, nor at once.
    assert_eq!(soon(vec![held(Some(4900))]), Some(3600));
    assert_eq!(next_look(&Verdict::Wait(vec![held(None)]), at(200), at(100)), Some(at(200)));
    assert_eq!(soon(vec![Reason::Settling { until: at(50) }]), Some(1));
    let merge = Verdict::Merge { head: id('a'), method: MergeMethod::Merge };
    assert_eq!(next_look(&merge, at(200), at(100)), None);
    assert_eq!(next_look(&Verdict::Drop(Reason::Closed), at(200), at(100)), None);
}

#[test]
fn an_undecided_forge_is_asked_at_growing_distances_c3_2() {
    let mut world = World::new();
    world.pull.mergeable = Mergeable::Unknown;
    let mut waits = Vec::new();
    for count in [1, 2, 3, 11, 12, 13, 1000] {
        world.unknown_mergeable = count;
        let decided = world.decide();
        let look = next_look(&decided.verdict, at(10 * DAY), world.now).unwrap();
        waits.push(look.duration_since(world.now).as_secs());
    }
    assert_eq!(waits, [5, 10, 15, 55, 60, 60, 60]);
}

#[test]
fn a_request_expires_after_seven_days_c3_5() {
    let world = World::new();
    let expires = expires_at(&world.request, &world.config);
    assert_eq!(expires.duration_since(world.request.asked_at), SignedDuration::from_hours(168));
}

fn seen(heads: &[(char, i64)]) -> Vec<SeenHead> {
    heads.iter().map(|(digit, time)| SeenHead { id: id(*digit), first_seen_at: at(*time) }).collect()
}

fn sha(text: &str) -> ShaPrefix {
    ShaPrefix::parse(text).unwrap()
}

#[test]
fn digits_of_a_commit_are_seven_at_least_c3_1() {
    for text in ["", "3f2a91", "3f2a91g", "3f2a91é", &"a".repeat(41), " 3f2a91c", "+3f2a91c"] {
        assert_eq!(ShaPrefix::parse(text), None, "{text}");
    }
    assert_eq!(sha("3F2A91C").to_string(), "3f2a91c");
    assert!(sha("aaaaaaa").names(id('a')) && !sha("aaaaaab").names(id('a')));
    assert!(serde_json::from_str::<ShaPrefix>("\"3f2a91\"").is_err());
}

#[test]
fn the_digits_given_pin_the_head_they_name_c3_1() {
    let heads = seen(&[('a', 0), ('b', 100)]);
    let pin = |given: &str, current| pin(Some(&sha(given)), Some(id('a')), &heads, at(50), id(current));
    assert_eq!(pin("bbbbbbb", 'b'), Ok(id('b')));
    assert_eq!(pin(&"b".repeat(40), 'b'), Ok(id('b')));
    assert_eq!(pin("aaaaaaa", 'b'), Err(PinFault::Moved { from: id('a'), digits: "bbbbbbb".into() }));
    assert_eq!(pin("ccccccc", 'b'), Err(PinFault::Unknown { given: sha("ccccccc"), digits: "bbbbbbb".into() }));
    // A head that nobody saw yet: who names it has seen it.
    assert_eq!(pin("ccccccc", 'c'), Ok(id('c')));
}

#[test]
fn digits_that_mean_two_heads_pin_none_c3_1() {
    let like = |end: &str| ObjectId::from_hex(format!("{}{end}", "a".repeat(38)).as_bytes()).unwrap();
    let heads = [(like("00"), 0), (like("01"), 100)].map(|(id, time)| SeenHead { id, first_seen_at: at(time) });
    let found = pin(Some(&sha("aaaaaaa")), None, &heads, at(200), like("01"));
    assert_eq!(found, Err(PinFault::Ambiguous { given: sha("aaaaaaa"), digits: like("01").to_string() }));
    assert_eq!(digits(like("01"), &heads).len(), 40);
    let found = pin(Some(&sha(&like("01").to_string())), None, &heads, at(200), like("01"));
    assert_eq!(found, Ok(like("01")));
}

#[test]
fn a_review_pins_its_commit_c3_1() {
    let heads = seen(&[('a', 0), ('b', 100)]);
    assert_eq!(pin(None, Some(id('b')), &heads, at(50), id('b')), Ok(id('b')));
    let fault = pin(None, Some(id('a')), &heads, at(200), id('b')).unwrap_err();
    assert_eq!(fault, PinFault::Moved { from: id('a'), digits: "bbbbbbb".into() });
    assert_eq!(fault.words(), "the branch moved on from `aaaaaaa` to `bbbbbbb` in between");
}

#[test]
fn a_comment_pins_the_head_of_its_time_c3_1() {
    let heads = seen(&[('b', 100), ('a', 0)]);
    let by_time = |heads: &[SeenHead], time, current| pin(None, None, heads, at(time), id(current));
    assert_eq!(by_time(&heads, 101, 'b'), Ok(id('b')));
    let moved = |digits: &str| Err(PinFault::Moved { from: id('a'), digits: digits.into() });
    assert_eq!(by_time(&heads, 99, 'b'), moved("bbbbbbb"));
    // In the same moment: nobody can tell which of the two was looked at.
    assert_eq!(by_time(&heads, 100, 'b'), moved("bbbbbbb"));
    // A push that was not seen yet.
    assert_eq!(by_time(&seen(&[('a', 0)]), 50, 'b'), moved("bbbbbbb"));
    let not_seen = Err(PinFault::NotSeen { digits: "bbbbbbb".into() });
    assert_eq!(by_time(&heads, -1, 'b'), not_seen);
    assert_eq!(by_time(&[], 50, 'b'), not_seen);
    // There was only one, whatever the clocks say.
    assert_eq!(by_time(&seen(&[('a', 100)]), 50, 'a'), Ok(id('a')));
    // It came back: the forge may have shown the other one.
    assert_eq!(by_time(&heads, 200, 'a'), Err(PinFault::Moved { from: id('b'), digits: "aaaaaaa".into() }));
}
