//! A forge whose calls are counted, and one of which goes wrong: it is not sent, or its answer is lost, or the work ends
//! right before or after it as in a crash.

use std::future::Future;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use gix::ObjectId;
use leadsman::forge::{
    Answer, Capabilities, Check, Comment, Conversation, ErrorKind, Forge, ForgeError, ForgePull, Issues, MergeAnswer,
    MergeMethod, Merging, NewPull, Permission, Person, PullEdit, Pulls, Reaction, Repositories, RepositoryInfo,
    RepositoryName, Review, Rules,
};
use leadsman_tests::long;

use crate::world::{On, Who, World};

/// How a call goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// It is not sent.
    NotSent,
    /// It takes effect, and its answer is lost.
    AnswerLost,
    /// The work ends before it.
    CrashBefore,
    /// It takes effect, and the work ends.
    CrashAfter,
}

/// What was called, and what is to go wrong.
#[derive(Default)]
pub(crate) struct Faults {
    calls: AtomicUsize,
    writes: Mutex<Vec<&'static str>>,
    planned: Mutex<Option<(usize, Fault)>>,
}

tokio::task_local! {
    static QUIET: ();
}

impl Faults {
    /// How many calls there were.
    pub(crate) fn calls(&self) -> usize {
        self.calls.load(Ordering::SeqCst)
    }

    /// The calls that write, since this was last asked for.
    pub(crate) fn writes(&self) -> Vec<&'static str> {
        std::mem::take(&mut self.writes.lock().unwrap())
    }

    /// From here on the call with this number, counted from 0, goes wrong, once.
    pub(crate) fn plan(&self, call: usize, fault: Fault) {
        *self.planned.lock().unwrap() = Some((call, fault));
    }

    /// Makes a call that neither counts nor goes wrong.
    pub(crate) async fn quietly<T>(&self, call: impl Future<Output = T>) -> T {
        QUIET.scope((), call).await
    }
}

/// A forge with faults.
pub(crate) struct Faulty {
    pub(crate) inner: Arc<dyn Forge>,
    pub(crate) faults: Arc<Faults>,
}

impl Faulty {
    async fn through<T>(&self, what: &'static str, call: impl Future<Output = Answer<T>> + Send) -> Answer<T> {
        if QUIET.try_with(|()| ()).is_ok() {
            return call.await;
        }
        let number = self.faults.calls.fetch_add(1, Ordering::SeqCst);
        let fault = {
            let mut planned = self.faults.planned.lock().unwrap();
            planned.take_if(|planned| planned.0 == number).map(|planned| planned.1)
        };
        let lost = || ForgeError {
            kind: ErrorKind::Unavailable,
            what: what.into(),
            host: self.inner.host().into(),
            message: "the line is cut".into(),
        };
        match fault {
            Some(Fault::NotSent) => return Err(lost()),
            Some(Fault::CrashBefore) => panic!("a crash before `{what}`"),
            _ => {}
        }
        let answer = call.await;
        match fault {
            Some(Fault::AnswerLost) => Err(lost()),
            Some(Fault::CrashAfter) => panic!("a crash after `{what}`"),
            _ => answer,
        }
    }

    async fn write<T>(&self, what: &'static str, call: impl Future<Output = Answer<T>> + Send) -> Answer<T> {
        self.faults.writes.lock().unwrap().push(what);
        self.through(what, call).await
    }
}

#[async_trait]
impl Repositories for Faulty {
    async fn repository(&self, name: &RepositoryName) -> Answer<RepositoryInfo> {
        self.through("repository", self.inner.repository(name)).await
    }

    async fn myself(&self) -> Answer<Person> {
        self.through("myself", self.inner.myself()).await
    }
}

#[async_trait]
impl Pulls for Faulty {
    async fn open_pulls(&self, repository: &RepositoryName) -> Answer<Vec<ForgePull>> {
        self.through("open_pulls", self.inner.open_pulls(repository)).await
    }

    async fn pull(&self, repository: &RepositoryName, number: i64) -> Answer<ForgePull> {
        self.through("pull", self.inner.pull(repository, number)).await
    }

    async fn pull_of_branch(&self, repository: &RepositoryName, branch: &str, base: &str) -> Answer<Option<ForgePull>> {
        self.through("pull_of_branch", self.inner.pull_of_branch(repository, branch, base)).await
    }

    async fn open_pull(&self, repository: &RepositoryName, new: &NewPull) -> Answer<ForgePull> {
        self.write("open_pull", self.inner.open_pull(repository, new)).await
    }

    async fn edit_pull(&self, repository: &RepositoryName, number: i64, edit: &PullEdit) -> Answer<()> {
        self.write("edit_pull", self.inner.edit_pull(repository, number, edit)).await
    }
}

#[async_trait]
impl Conversation for Faulty {
    async fn comments(&self, repository: &RepositoryName, number: i64, after: i64) -> Answer<Vec<Comment>> {
        self.through("comments", self.inner.comments(repository, number, after)).await
    }

    async fn comment(&self, repository: &RepositoryName, number: i64, body: &str) -> Answer<Comment> {
        self.write("comment", self.inner.comment(repository, number, body)).await
    }

    async fn edit_comment(&self, repository: &RepositoryName, comment: i64, body: &str) -> Answer<()> {
        self.write("edit_comment", self.inner.edit_comment(repository, comment, body)).await
    }

    async fn delete_comment(&self, repository: &RepositoryName, comment: i64) -> Answer<()> {
        self.write("delete_comment", self.inner.delete_comment(repository, comment)).await
    }

    async fn react(&self, repository: &RepositoryName, comment: i64, reaction: Reaction) -> Answer<()> {
        self.write("react", self.inner.react(repository, comment, reaction)).await
    }

    async fn permission(&self, repository: &RepositoryName, person: &Person) -> Answer<Permission> {
        self.through("permission", self.inner.permission(repository, person)).await
    }
}

#[async_trait]
impl Merging for Faulty {
    async fn checks(&self, repository: &RepositoryName, commit: ObjectId) -> Answer<Vec<Check>> {
        self.through("checks", self.inner.checks(repository, commit)).await
    }

    async fn rules(&self, repository: &RepositoryName, base: &str) -> Answer<Rules> {
        self.through("rules", self.inner.rules(repository, base)).await
    }

    async fn reviews(&self, repository: &RepositoryName, number: i64) -> Answer<Vec<Review>> {
        self.through("reviews", self.inner.reviews(repository, number)).await
    }

    async fn merge(
        &self,
        repository: &RepositoryName,
        number: i64,
        head: ObjectId,
        method: MergeMethod,
        message: Option<&str>,
    ) -> Answer<MergeAnswer> {
        self.write("merge", self.inner.merge(repository, number, head, method, message)).await
    }
}

#[async_trait]
impl Issues for Faulty {
    async fn find_issue(&self, repository: &RepositoryName, marker: &str) -> Answer<Option<(i64, String)>> {
        self.through("find_issue", self.inner.find_issue(repository, marker)).await
    }

    async fn open_issue(&self, repository: &RepositoryName, title: &str, body: &str) -> Answer<i64> {
        self.write("open_issue", self.inner.open_issue(repository, title, body)).await
    }

    async fn edit_issue(&self, repository: &RepositoryName, number: i64, title: &str, body: &str) -> Answer<()> {
        self.write("edit_issue", self.inner.edit_issue(repository, number, title, body)).await
    }
}

impl Forge for Faulty {
    fn capabilities(&self) -> &'static Capabilities {
        self.inner.capabilities()
    }

    fn host(&self) -> &str {
        self.inner.host()
    }
}

/// How the story ends when nothing goes wrong: open pull requests, commits of the base, its tag, comments by the bot.
type End = (usize, usize, String, usize);

/// The short thread, where the call `fault` goes wrong once; how it ends, and how many calls there were.
async fn thread_with(on: On, called: &str, fault: Option<(usize, Fault)>) -> (End, usize) {
    let mut world = World::new(on, called).await;
    if let Some((call, fault)) = fault {
        world.faults.plan(call, fault);
    }
    let crashes = matches!(fault, Some((_, Fault::CrashBefore | Fault::CrashAfter)));
    // Whatever was put off is done some time later; after a crash by another process.
    settle(&mut world, crashes).await;
    // One is closed by a person, so the next one comes from the same branch.
    let first = world.only().await;
    world.set_open(&first, false).await;
    settle(&mut world, crashes).await;
    world.push("6.2.0");
    world.advance(6 * 3600);
    settle(&mut world, crashes).await;
    let pull = world.only().await;
    assert_ne!(pull.number, first.number);
    world.a_moment().await;
    world.say_as(Who::Person, pull.number, &format!("/merge {}", pull.head)).await;
    for _ in 0..4 {
        settle(&mut world, crashes).await;
    }
    let calls = world.faults.calls();
    let said = world.said(pull.number).await;
    assert!(said.iter().all(|text| text.contains("Merged")), "{fault:?}: {said:#?}");
    ((world.open().await.len(), world.history(), world.tag("main"), said.len()), calls)
}

async fn settle(world: &mut World, crashes: bool) {
    for _ in 0..3 {
        world.try_work().await;
        world.advance(1200);
    }
    if crashes {
        world.restart().await;
        world.try_work().await;
    }
}

pub(crate) async fn every_call_fails_once(on: On) {
    let (quiet, calls) = thread_with(on, "quiet", None).await;
    assert_eq!((quiet.0, quiet.2.as_str(), quiet.3), (0, "6.2.0", 1));
    assert!(calls > 10, "{calls}");
    // A share of all, unless there is time for all of them: primes spread it over the thread.
    let step = match (long(), on) {
        (true, On::Local) => 1,
        (true, On::Gitea) => 5,
        (false, On::Local) => 11,
        (false, On::Gitea) => 53,
    };
    for (kind, fault) in
        [Fault::AnswerLost, Fault::NotSent, Fault::CrashAfter, Fault::CrashBefore].into_iter().enumerate()
    {
        for call in (kind * 7 % step..calls).step_by(step) {
            let (end, _) = thread_with(on, &format!("fault-{kind}-{call}"), Some((call, fault))).await;
            assert_eq!(end, quiet, "{fault:?} at call {call}");
        }
    }
}
