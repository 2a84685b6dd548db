//! Writes the bot's comments: one for each thing it speaks about, looked up before it is written (C1.5).

use super::queue::Failure;
use super::service::{Service, Watched};
use crate::commands::grammar::Grammar;
use crate::render::comments::{Answer, CommentKey};

/// Where it is said.
#[derive(Clone, Copy)]
pub struct Thread<'a> {
    /// What it is said with.
    pub service: &'a Service,
    /// The repository.
    pub watched: &'a Watched,
    /// The pull request or issue, by its number on the forge.
    pub number: i64,
}

/// Says `words` under this key: changes the comment that has it, or writes one. Returns its number.
///
/// # Errors
/// Where the forge does not do its part, or a template fails.
pub async fn answer(
    thread: &Thread<'_>,
    key: CommentKey,
    grammar: &Grammar,
    words: &Answer<'_>,
) -> Result<i64, Failure> {
    let Thread { service, watched, number } = *thread;
    let text = service.comments.comment(key, grammar, words);
    let text = text.map_err(|error| Failure::Ours(format!("cannot write a comment: {error}")))?;
    let me = service.myself(watched).await?;
    let after = match key {
        CommentKey::Answer { comment, .. } => comment,
        CommentKey::LeftAlone(_) => 0,
    };
    let (forge, name) = (&watched.forge, &watched.name);
    let said = forge.comments(name, number, after).await?;
    let mut ours = said.iter().filter(|it| it.author.id == me.id && CommentKey::read(&it.body) == Some(key));
    let Some(first) = ours.next() else { return Ok(forge.comment(name, number, &text).await?.id) };
    // A second one was made by accident, such as by an answer that was lost.
    for twin in ours {
        forge.delete_comment(name, twin.id).await?;
    }
    if first.body.trim_end() != text.trim_end() {
        forge.edit_comment(name, first.id, &text).await?;
    }
    Ok(first.id)
}
