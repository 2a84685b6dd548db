//! The contract of a forge, held by the client for Gitea against a real Gitea.

use std::sync::{Arc, Mutex};

use gix::ObjectId;
use leadsman::forge::gitea::Gitea as Client;
use leadsman::forge::http::{HttpOptions, Observer, Sent};
use leadsman::forge::{
    CheckState, Conversation, ErrorKind, Forge, Hooks, Issues, MergeAnswer, MergeMethod, Mergeable, Merging, NewPull,
    Opinion, Permission, Person, PullEdit, PullState, Pulls, Reaction, Repositories, RepositoryName,
};
use leadsman_tests::gitea::{Account, Gitea};
use serde_json::{Value, json};

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
async fn settled(client: &Client, repository: &RepositoryName, number: i64) {
    for _ in 0..200 {
        if client.pull(repository, number).await.unwrap().mergeable == Mergeable::Yes {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(25)).await;
    }
    panic!("{number} of {repository} does not become mergeable");
}

#[tokio::test]
async fn a_repository_and_the_bot_are_told_in_one_call_each() {
    let server = Gitea::shared();
    let (client, sent) = client(&server);
    let full = server.repository("told", &[("a.yaml", "x: 1\n")]);
    let info = client.repository(&name(&full)).await.unwrap();
    assert_eq!((info.name.0.as_str(), info.default_branch.as_str()), (full.as_str(), "main"));
    assert_eq!((info.archived, info.empty), (false, false));
    assert_eq!((info.clone_url, info.url), (server.clone_url(&full), format!("{}/{full}", server.url())));
    assert_eq!(client.myself().await.unwrap(), person(&server.bot));
    assert_eq!(sent.take(), ["GET repos 200", "GET user 200"]);
    assert_eq!((client.host(), client.capabilities().name), (server.address.to_string().as_str(), "Gitea"));

    let empty = server.empty_repository("without-a-commit");
    let info = client.repository(&name(&empty)).await.unwrap();
    assert!(info.empty && !info.archived);
    server.call(&server.admin, "PATCH", &format!("/repos/{full}"), &json!({ "archived": true }));
    assert!(client.repository(&name(&full)).await.unwrap().archived);
}
