//! Runs one command that somebody wrote: asks the forge what they may do now, does it, and answers (C1, C2).

use jiff::Timestamp;

use super::answer::{Thread, answer};
use super::explain;
use super::look::{Looked, look};
use super::queue::Failure;
use super::service::{Service, Watched, numbered};
use super::try_merge::{self, Remembered};
use super::{dashboard_issue, decisions, list_image};
use crate::commands::grammar::{Grammar, parse};
use crate::commands::permit::{Asker, Permit, Place, Refusal, permit};
use crate::commands::{Command, Ignored, Scope};
use crate::forge::{ErrorKind, Reaction};
use crate::merge::decide::MergeConfig;
use crate::merge::pin::{ShaPrefix, pin};
use crate::plan::RepositoryDecisions;
use crate::pulls::{Pull, State, Wishes};
use crate::render::comments::{Answer, CommentKey, Listed, Overview, Status};
use crate::render::dashboard::Problem;
use crate::store::comments::{CommandLine, Progress, SeenCommand};
use crate::store::dashboards::Dashboard;
use crate::store::decisions::{Decided, Level, Verb};
use crate::store::history::Event;
use crate::store::merges::MergeRequest;
use crate::store::work::{Ask, Claim, Kind, Next, Priority};

/// A command being run.
struct Run<'a> {
    service: &'a Service,
    watched: &'a Watched,
    /// The number of the pull request or of the dashboard issue on the forge.
    thread: i64,
    /// The pull request; none on the dashboard issue.
    pull: Option<Pull>,
    line: &'a CommandLine,
    grammar: &'a Grammar,
    claim: &'a Claim,
}

/// What came of it.
enum Outcome {
    /// Done; a thumb says enough.
    Done,
    /// Done, and answered in words.
    Answered,
    /// Not done, and answered in words.
    Refused,
}

/// Runs the command that the claim names.
///
/// # Errors
/// Where the forge or the store does not do its part; it is run again.
pub async fn run_command(service: &Service, claim: &Claim) -> Result<Next, Failure> {
    let Some((repository, thread, at)) = place(&claim.key) else { return Ok(Next::Done) };
    let Some(watched) = service.watched(repository) else { return Ok(Next::Done) };
    let seen = service.store.command(repository, thread, at.0, at.1).await?;
    let Some(SeenCommand { command: line, progress, .. }) = seen else { return Ok(Next::Done) };
    if !matches!(progress, Progress::Waiting | Progress::Running) {
        return Ok(Next::Done);
    }
    let pull = match service.store.pull_of_forge_number(repository, thread).await? {
        Some((number, _)) => service.store.pull(repository, number).await?.map(|(pull, _)| pull),
        None => None,
    };
    // Elsewhere silence (C1.6).
    if pull.is_none() && service.store.dashboard(repository).await? != Dashboard::Issue(thread) {
        return Ok(Next::Done);
    }
    service.know_config(watched).await?;
    let grammar = service.grammar(watched);
    let run = Run { service, watched, thread, pull, line: &line, grammar: &grammar, claim };
    if progress == Progress::Waiting {
        run.react(Reaction::Eyes).await?;
        service.store.keep_progress(repository, thread, at, Progress::Running, None).await?;
    }
    let outcome = run.run().await?;
    let progress = match outcome {
        Outcome::Done => {
            run.react(Reaction::ThumbsUp).await?;
            Progress::Done
        }
        Outcome::Answered => Progress::Done,
        Outcome::Refused => Progress::Refused,
    };
    service.store.keep_progress(repository, thread, at, progress, None).await?;
    Ok(Next::Done)
}

/// Repository, thread, and comment with line, as the key of this work names them.
fn place(key: &str) -> Option<(&str, i64, (i64, i64))> {
    let (repository, rest) = key.rsplit_once('#')?;
    let mut numbers = rest.split('/').map(str::parse);
    let mut next = || numbers.next()?.ok();
    Some((repository, next()?, (next()?, next()?)))
}

impl Run<'_> {
    async fn run(&self) -> Result<Outcome, Failure> {
        let Self { line, grammar, .. } = self;
        let Some(mut parsed) = parse(&line.text, grammar, line.written_at).into_iter().next() else {
            return Ok(Outcome::Refused);
        };
        parsed.line = self.line_number();
        let command = match &parsed.parsed {
            Ok(command) => command.clone(),
            Err(_) => return self.refuse(&Answer::Fault(&parsed)).await,
        };
        let permission = match self.watched.forge.permission(&self.watched.name, &line.by).await {
            Ok(permission) => Some(permission),
            Err(error) if matches!(error.kind, ErrorKind::Forbidden | ErrorKind::NotFound) => None,
            Err(error) => return Err(error.into()),
        };
        let config = self.service.config(&self.watched.key);
        let asker = Asker { login: &line.by.login, permission };
        let answered = self.answered().await?;
        let place = if self.pull.is_some() { Place::Pull } else { Place::Dashboard };
        match permit(command.info(), place, &asker, &config, &answered, self.service.now()) {
            Permit::Allow => {}
            Permit::Refuse(refusal) => {
                return self.refuse(&Answer::Refused { command: &command, refusal: &refusal }).await;
            }
            Permit::ReactOnly => {
                self.react(Reaction::ThumbsDown).await?;
                return Ok(Outcome::Refused);
            }
        }
        if !self.claim.may_write() {
            return Err(Failure::Ours("the lease is nearly over; it is run again".into()));
        }
        let outcome = self.carry_out(&command).await?;
        if command.info().changing && !matches!(outcome, Outcome::Refused) {
            self.note(&format!("command {}", command.name()), &line.text).await?;
        }
        Ok(outcome)
    }

    async fn carry_out(&self, command: &Command) -> Result<Outcome, Failure> {
        let Self { service, watched, .. } = self;
        let (store, key, now) = (&service.store, &watched.key, service.now());
        let Some(pull) = &self.pull else { return self.on_dashboard(command).await };
        let number = Some(pull.number);
        match command {
            Command::Merge { method, head, now } => self.merge(pull, *method, head.as_ref(), *now).await,
            Command::MergeCancel => {
                if store.settle_merge(key, pull.number, None).await? {
                    Ok(Outcome::Done)
                } else {
                    self.refuse(&Answer::Failed { what: "nobody asked for a merge of this" }).await
                }
            }
            Command::Hold { until, reason } => {
                self.decide(number, Verb::Hold, *until, reason.as_deref()).await?;
                self.look_soon().await
            }
            Command::Unhold => {
                store.undecide(key, number, &Verb::Hold, now).await?;
                self.look_soon().await
            }
            Command::Pause { reason } => self.pause(reason.as_deref()).await,
            Command::Resume => self.resume().await,
            Command::Close => {
                try_merge::close(watched, self.thread).await?;
                self.look_soon().await
            }
            Command::Rebase => self.rebuild(pull, false).await,
            Command::Recreate => self.rebuild(pull, true).await,
            Command::Ignore { what, until } => {
                for verb in ignores(pull, *what) {
                    // What is not to be proposed any more is about the images, wherever in the repository they are.
                    let number = (*what == Scope::This).then_some(pull.number);
                    self.decide(number, verb, *until, None).await?;
                }
                self.look_soon().await
            }
            Command::Unignore { what } => self.unignore(Some(pull), *what).await,
            Command::Ignores => {
                let people = decisions::read(store, key, now).await?;
                let own = people.pulls.get(&pull.number).map_or(&[][..], |own| &own.ignores);
                let here = own.iter().map(|ignore| Listed { ignore, place: "this pull request" });
                let everywhere = people.repository.ignores.iter();
                let everywhere = everywhere.map(|ignore| Listed { ignore, place: "the whole repository" });
                let listed: Vec<Listed<'_>> = here.chain(everywhere).collect();
                self.say(&Answer::Ignores(&listed)).await
            }
            Command::Explain { container } => {
                let explained = explain::explain(service, watched, &pull.key, container.as_deref()).await?;
                self.say(&Answer::Explain { asked: container.as_deref(), containers: &explained }).await
            }
            Command::Status => self.status(pull).await,
            Command::Scan => self.scan().await,
            Command::Help => self.say(&Answer::Help).await,
        }
    }

    /// What counts on the dashboard issue is about the whole repository (C1.6).
    async fn on_dashboard(&self, command: &Command) -> Result<Outcome, Failure> {
        let Self { service, watched, .. } = self;
        let people = decisions::read(&service.store, &watched.key, service.now()).await?;
        match command {
            Command::Pause { reason } => self.pause(reason.as_deref()).await,
            Command::Resume => self.resume().await,
            Command::Unignore { what } => self.unignore(None, *what).await,
            Command::Ignores => {
                let ignores = people.repository.ignores.iter();
                let listed: Vec<_> = ignores.map(|ignore| Listed { ignore, place: "the whole repository" }).collect();
                self.say(&Answer::Ignores(&listed)).await
            }
            Command::Status => {
                let merging = service.store.merge_requests(&watched.key).await?.len();
                let open = service.store.shown_pulls(&watched.key, u32::MAX, 0).await?.len();
                let problems = dashboard_issue::problems(service, watched).await?;
                let faults: Vec<String> = problems.iter().map(Problem::words).collect();
                let RepositoryDecisions { ignores, pause } = &people.repository;
                let (pause, ignored) = (pause.as_ref(), ignores.len());
                self.say(&Answer::Overview(&Overview { pause, open, merging, ignored, faults: &faults })).await
            }
            Command::Scan => self.scan().await,
            Command::Help => self.say(&Answer::Help).await,
            // Refused before: they are about one pull request.
            Command::Merge { .. }
            | Command::MergeCancel
            | Command::Hold { .. }
            | Command::Unhold
            | Command::Close
            | Command::Rebase
            | Command::Recreate
            | Command::Ignore { .. }
            | Command::Explain { .. } => {
                self.refuse(&Answer::Refused { command, refusal: &Refusal::NotOnDashboard }).await
            }
        }
    }

    async fn pause(&self, reason: Option<&str>) -> Result<Outcome, Failure> {
        self.decide(None, Verb::Pause, None, reason).await?;
        self.look_soon().await
    }

    async fn resume(&self) -> Result<Outcome, Failure> {
        let Self { service, watched, .. } = self;
        service.store.undecide(&watched.key, None, &Verb::Pause, service.now()).await?;
        self.look_soon().await
    }

    async fn scan(&self) -> Result<Outcome, Failure> {
        let Self { service, watched, .. } = self;
        let (store, now) = (&service.store, service.now());
        let uses = store.uses(&watched.key).await?;
        let mut asks: Vec<Ask> = uses.iter().map(|used| list_image::ask(used, now)).collect();
        asks.push(service.ask_scan(watched, Priority::Pull));
        store.ask(&asks, now).await?;
        Ok(Outcome::Done)
    }

    /// Keeps a request to merge, pinned to the head that whoever asked saw (C3.1).
    async fn merge(
        &self,
        pull: &Pull,
        method: Option<crate::forge::MergeMethod>,
        head: Option<&ShaPrefix>,
        required_only: bool,
    ) -> Result<Outcome, Failure> {
        let Self { service, watched, line, .. } = self;
        let told = watched.forge.pull(&watched.name, self.thread).await?;
        let seen = service.store.heads_seen(&watched.key, pull.number).await?;
        let pinned = match pin(head, None, &seen, line.written_at, told.head) {
            Ok(pinned) => pinned,
            Err(fault) => return self.refuse(&Answer::NotPinned(&fault)).await,
        };
        let expire = MergeConfig::default().expire;
        let request = MergeRequest {
            number: pull.number,
            head: pinned,
            method,
            required_only,
            by: line.by.clone(),
            comment_id: Some(line.comment_id),
            created_at: line.written_at,
            expires_at: line.written_at.saturating_add(expire).unwrap_or(line.written_at),
            last_verdict: Some(Remembered { line: self.line_number(), ..Remembered::default() }.text()),
        };
        service.store.request_merge(&watched.key, &request).await?;
        let ask = service.ask_of(watched, Kind::TryMerge, numbered(&watched.key, pull.number));
        service.store.ask(&[ask.with(Priority::Person)], service.now()).await?;
        Ok(Outcome::Answered)
    }

    /// Rebuilds the branch now, over people's commits with `anew`.
    async fn rebuild(&self, pull: &Pull, anew: bool) -> Result<Outcome, Failure> {
        let Self { service, watched, .. } = self;
        if pull.state != State::Open {
            return self.refuse(&Answer::Failed { what: "it is not open" }).await;
        }
        let only = std::iter::once(pull.key.clone()).collect();
        let wishes = if anew {
            Wishes { recreate: only, ..Wishes::default() }
        } else {
            Wishes { rebuild: only, ..Wishes::default() }
        };
        let done = match look(service, watched, &wishes).await? {
            Looked::Done(done) => done,
            Looked::Resting(why) => return self.refuse(&Answer::Failed { what: &why }).await,
        };
        let Some(done) = done.pulls.iter().find(|done| done.number == Some(pull.number)) else {
            return self.refuse(&Answer::Failed { what: "there is nothing to propose any more" }).await;
        };
        match (&done.error, done.action) {
            (Some(error), _) => self.refuse(&Answer::Failed { what: error }).await,
            (None, "left-alone") => {
                let recreate = self.voice("recreate");
                let what = format!("{}; to throw that away, write `{recreate}`", done.reason);
                self.refuse(&Answer::Failed { what: &what }).await
            }
            (None, _) => Ok(Outcome::Done),
        }
    }

    fn voice(&self, words: &str) -> String {
        self.grammar.spell(words)
    }

    /// On the dashboard issue there is no pull request, and only numbers tell what is meant.
    async fn unignore(&self, pull: Option<&Pull>, what: Ignored) -> Result<Outcome, Failure> {
        let Self { service, watched, .. } = self;
        let (store, key, now) = (&service.store, &watched.key, service.now());
        let mut taken_back = false;
        match what {
            Ignored::Scope(scope) => {
                let Some(pull) = pull else {
                    let what = format!(
                        "here it takes a number, such as `{}`; `{}` lists them",
                        self.voice("unignore 1"),
                        self.voice("ignores")
                    );
                    return self.refuse(&Answer::Failed { what: &what }).await;
                };
                for verb in ignores(pull, scope) {
                    for number in [Some(pull.number), None] {
                        taken_back |= store.undecide(key, number, &verb, now).await?;
                    }
                }
            }
            Ignored::Number(number) => {
                // In the order in which `ignores` lists them: this pull request's first.
                let all = store.decisions(key, now).await?;
                let is_ignore = |it: &&Decided| matches!(it.verb, Verb::Ignore { .. });
                let own = all.iter().filter(is_ignore);
                let own = own.filter(|it| it.number.is_some() && it.number == pull.map(|pull| pull.number));
                let everywhere = all.iter().filter(is_ignore).filter(|it| it.number.is_none());
                let index = (number as usize).checked_sub(1);
                if let Some(it) = index.and_then(|index| own.chain(everywhere).nth(index)) {
                    taken_back = store.undecide(key, it.number, &it.verb, now).await?;
                }
            }
        }
        if taken_back {
            self.look_soon().await
        } else {
            let what = format!("nothing like that is ignored; `{}` lists what is", self.voice("ignores"));
            self.refuse(&Answer::Failed { what: &what }).await
        }
    }

    async fn status(&self, pull: &Pull) -> Result<Outcome, Failure> {
        let Self { service, watched, .. } = self;
        let row = service.store.merge_request(&watched.key, pull.number).await?;
        let remembered = row.as_ref().map(Remembered::of).unwrap_or_default();
        let asked = row.as_ref().map(|row| (row, &remembered));
        let Some(gathered) = try_merge::gather(service, watched, pull.number, asked).await? else {
            return self.refuse(&Answer::Failed { what: "the forge does not have it yet" }).await;
        };
        let past = service.store.history(&watched.key, pull.number).await?;
        let history: Vec<(Timestamp, String)> =
            past.into_iter().map(|(at, action, reason)| (at, format!("{action}: {reason}"))).collect();
        let request = row.is_some().then_some((&gathered.request, gathered.method, gathered.expires_at));
        let status = Status {
            head: gathered.pull.head,
            base: &gathered.pull.base,
            request,
            decided: &gathered.decided,
            left_alone: pull.left_alone.as_deref(),
            history: &history,
        };
        self.say(&Answer::Status(&status)).await
    }

    async fn decide(
        &self,
        number: Option<i64>,
        verb: Verb,
        until: Option<Timestamp>,
        reason: Option<&str>,
    ) -> Result<(), Failure> {
        let decided = Decided {
            number,
            verb,
            until,
            reason: reason.unwrap_or_default().to_owned(),
            by: self.line.by.clone(),
            made_at: self.line.written_at,
        };
        self.service.store.decide(&self.watched.key, &decided).await?;
        Ok(())
    }

    /// Has the repository looked at, so that what was decided takes effect.
    async fn look_soon(&self) -> Result<Outcome, Failure> {
        let Self { service, watched, pull, .. } = self;
        let mut asks = vec![service.ask_scan(watched, Priority::Person)];
        if let Some(pull) = pull
            && service.store.merge_request(&watched.key, pull.number).await?.is_some()
        {
            asks.push(service.ask_of(watched, Kind::TryMerge, numbered(&watched.key, pull.number)));
        }
        service.store.ask(&asks, service.now()).await?;
        Ok(Outcome::Done)
    }

    /// When this person was answered in this thread, for the limit of answers (C2).
    async fn answered(&self) -> Result<Vec<Timestamp>, Failure> {
        let all = self.service.store.commands(&self.watched.key, self.thread).await?;
        let settled = all.into_iter().filter(|it| {
            it.command.by.id == self.line.by.id && matches!(it.progress, Progress::Done | Progress::Refused)
        });
        Ok(settled.map(|it| it.command.written_at).collect())
    }

    fn line_number(&self) -> usize {
        usize::try_from(self.line.line).unwrap_or_default()
    }

    async fn say(&self, words: &Answer<'_>) -> Result<Outcome, Failure> {
        let thread = Thread { service: self.service, watched: self.watched, number: self.thread };
        let key = CommentKey::Answer { comment: self.line.comment_id, line: self.line_number() };
        answer(&thread, key, self.grammar, words).await?;
        Ok(Outcome::Answered)
    }

    async fn refuse(&self, words: &Answer<'_>) -> Result<Outcome, Failure> {
        self.say(words).await?;
        Ok(Outcome::Refused)
    }

    async fn react(&self, reaction: Reaction) -> Result<(), Failure> {
        if self.watched.forge.capabilities().reactions {
            self.watched.forge.react(&self.watched.name, self.line.comment_id, reaction).await?;
        }
        Ok(())
    }

    async fn note(&self, action: &str, reason: &str) -> Result<(), Failure> {
        let event = Event {
            repository: self.watched.key.clone(),
            number: self.pull.as_ref().map(|pull| pull.number),
            action: action.to_owned(),
            reason: reason.to_owned(),
            by: Some(self.line.by.clone()),
        };
        self.service.store.note(&[event], self.service.now()).await?;
        Ok(())
    }
}

/// The decisions that an ignore of this scope on this pull request means.
fn ignores(pull: &Pull, what: Scope) -> Vec<Verb> {
    let level = match what {
        Scope::This => Level::This,
        Scope::Patch => Level::Patch,
        Scope::Minor => Level::Minor,
        Scope::Major => Level::Major,
        Scope::Image => Level::Image,
    };
    let changes = pull.proposed.iter().map(|proposed| &proposed.change);
    changes
        .map(|change| Verb::Ignore {
            level,
            image: change.image.clone(),
            tag: (level == Level::This).then(|| decisions::version_text(&change.to)),
        })
        .collect()
}
