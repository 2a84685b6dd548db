//! The contract of a forge, held by the client for Gitea against a real Gitea.

#![allow(clippy::unwrap_used, reason = "a test that fails should end")]

mod calls;
mod git;
mod hostile;
mod merging;
mod refusals;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use gix::ObjectId;
use leadsman::forge::gitea::Gitea as Client;
use leadsman::forge::http::{HttpOptions, Observer, Sent};
use leadsman::forge::{ForgePull, Mergeable, NewPull, Person, Pulls, RepositoryName};
use leadsman_tests::gitea::{Account, Gitea};

/// Every request that a client has sent.
#[derive(Debug, Default)]
struct Counter(Mutex<Vec<String>>);

impl Observer for Counter {
    fn sent(&self, sent: &Sent<'_>) {
        let status = sent.status.map_or_else(|| "none".to_owned(), |status| status.to_string());
        self.0.lock().unwrap().push(format!("{} {} {status}", sent.method, sent.route));
    }
}

impl Counter {
    /// What was sent since this was last asked.
    fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

/// A client with the bot's token, and what it sends.
fn client(server: &Gitea) -> (Client, Arc<Counter>) {
    client_as(server, &server.bot.token)
}

fn client_as(server: &Gitea, token: &str) -> (Client, Arc<Counter>) {
    let counter = Arc::<Counter>::default();
    let mut options = HttpOptions::new(server.url().parse().unwrap(), token.into());
    options.observer = counter.clone();
    (Client::new(options).unwrap(), counter)
}

fn person(account: &Account) -> Person {
    Person { id: account.id, login: account.login.clone() }
}

fn name(full: &str) -> RepositoryName {
    RepositoryName(full.to_owned())
}

fn id(sha: &str) -> ObjectId {
    sha.parse().unwrap()
}

const BRANCH: &str = "leadsman/podinfo-0a1b2c3d";

/// A repository with one branch of the bot's, and the commit on it.
fn proposed(server: &Gitea, called: &str) -> (RepositoryName, ObjectId) {
    let full = server.repository(called, &[("app.yaml", "tag: 1.0.0\n"), ("README.md", "x\n")]);
    let head = server.commit(&server.bot, &full, BRANCH, "Update", &[("app.yaml", "tag: 1.1.0\n")]);
    (name(&full), id(&head))
}

fn new_pull(title: &str, body: &str, labels: &[&str]) -> NewPull {
    NewPull {
        branch: BRANCH.into(),
        base: "main".into(),
        title: title.into(),
        body: body.into(),
        labels: labels.iter().map(|label| (*label).to_owned()).collect(),
    }
}

/// Asks until the forge has worked out whether it can be merged.
async fn settled(client: &Client, repository: &RepositoryName, number: i64) -> ForgePull {
    for _ in 0..400 {
        let pull = client.pull(repository, number).await.unwrap();
        if pull.mergeable == Mergeable::Yes {
            return pull;
        }
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    panic!("{number} of {repository} does not become mergeable");
}
