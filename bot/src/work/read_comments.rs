//! Reads what people wrote since the last time, and keeps the commands in it, each once (C1.3).

use leadsman_scanner::registry::printable;

use super::answer::{Thread, answer};
use super::queue::Failure;
use super::service::{Service, numbered, parts};
use crate::commands::grammar::{Grammar, parse};
use crate::forge::Comment;
use crate::render::comments::{Answer, CommentKey};
use crate::store::comments::CommandLine;
use crate::store::dashboards::Dashboard;
use crate::store::repositories::ConfigState;
use crate::store::work::{Kind, Next};

/// Reads the thread that the key names.
///
/// # Errors
/// Where the forge or the store does not do its part; what was read is read again.
pub async fn read_comments(service: &Service, key: &str) -> Result<Next, Failure> {
    let Some((repository, number)) = parts(key) else { return Ok(Next::Done) };
    let Some(watched) = service.watched(repository) else { return Ok(Next::Done) };
    // Elsewhere silence (C1.6).
    if service.store.pull_of_forge_number(repository, number).await?.is_none()
        && service.store.dashboard(repository).await? != Dashboard::Issue(number)
    {
        return Ok(Next::Done);
    }
    if let Err(failure) = service.know_config(watched).await {
        let row = service.store.repository(repository).await?;
        // Then nobody may do anything there, and the first look that can use it asks for this again.
        let is_wrong = row.is_some_and(|row| matches!(row.config, ConfigState::Invalid(_)));
        return if is_wrong { Ok(Next::Done) } else { Err(failure) };
    }
    let grammar = service.grammar(watched);
    let me = service.myself(watched).await?;
    let after = service.store.comment_cursor(repository, number).await?;
    let comments = watched.forge.comments(&watched.name, number, after).await?;
    let Some(last) = comments.iter().map(|comment| comment.id).max() else { return Ok(Next::Done) };
    let mut commands = Vec::new();
    for comment in comments.iter().filter(|comment| comment.author.id != me.id) {
        let lines = parse(&comment.body, &grammar, comment.created_at);
        if lines.is_empty() {
            continue;
        }
        if comment.was_edited() {
            let thread = Thread { service, watched, number };
            let key = CommentKey::Answer { comment: comment.id, line: 0 };
            answer(&thread, key, &grammar, &Answer::Edited).await?;
            continue;
        }
        commands.extend(lines.into_iter().map(|line| command(comment, line.line, line.quoted)));
    }
    let ask = |command: &CommandLine| {
        let key = format!("{}/{}/{}", numbered(repository, number), command.comment_id, command.line);
        service.ask_of(watched, Kind::RunCommand, key)
    };
    let new = service.store.keep_comments(repository, number, last, &commands, ask, service.now()).await?;
    for CommandLine { text, by, .. } in &new {
        tracing::info!(repository, number, by = %by.login, command = %printable(text, 200), "a command was written");
    }
    Ok(Next::Done)
}

fn command(comment: &Comment, line: usize, text: String) -> CommandLine {
    CommandLine {
        comment_id: comment.id,
        line: i64::try_from(line).unwrap_or(i64::MAX),
        text,
        by: comment.author.clone(),
        written_at: comment.created_at,
    }
}

impl Service {
    /// How commands are written in a repository (C1.1).
    #[must_use]
    pub fn grammar(&self, watched: &super::service::Watched) -> Grammar {
        let slash = watched.forge.capabilities().slash_commands && self.config(&watched.key).commands.slash;
        Grammar { handle: self.handle.clone(), slash }
    }
}
