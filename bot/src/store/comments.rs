//! Which comments were read, and the commands in them: each line is stored once, so it runs once (C1.3).
//!
//! A thread is a pull request or an issue, by the forge's number. New commands are stored together with the cursor and
//! with the work of running them, so no crash loses one or runs one twice as two.

use jiff::{SignedDuration, Timestamp};
use sqlx::Row;
use sqlx::sqlite::SqliteRow;

use super::work::{Ask, ask};
use super::{Store, StoreError, bounded, sql, time};
use crate::forge::Person;

/// The longest line that is kept, in bytes. Longer ones are no commands.
const MAX_LINE: usize = 1000;

/// The difference between the due times of two commands that were written together.
const TICK: SignedDuration = SignedDuration::from_millis(1);

/// A line of a comment that is a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommandLine {
    /// The comment.
    pub comment_id: i64,
    /// The line within it, from 1.
    pub line: i64,
    /// The line as written.
    pub text: String,
    /// Who wrote the comment, as the forge says.
    pub by: Person,
    /// When.
    pub written_at: Timestamp,
}

/// How a command stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Progress {
    /// Nobody looked at it yet.
    Waiting,
    /// It was taken up.
    Running,
    /// It was carried out.
    Done,
    /// It was not understood or not allowed, and is answered.
    Refused,
    /// It could not be carried out, and is answered.
    Failed,
}

impl Progress {
    /// Every state.
    pub const ALL: [Self; 5] = [Self::Waiting, Self::Running, Self::Done, Self::Refused, Self::Failed];

    /// Its name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Running => "running",
            Self::Done => "done",
            Self::Refused => "refused",
            Self::Failed => "failed",
        }
    }
}

/// A command that was stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeenCommand {
    /// What was written.
    pub command: CommandLine,
    /// How it stands.
    pub progress: Progress,
    /// Our comment that answers it.
    pub reply_id: Option<i64>,
}

impl Store {
    /// Up to which comment a thread was read; 0: none of it.
    ///
    /// # Errors
    /// Where the database cannot be read.
    pub async fn comment_cursor(&self, repository: &str, thread: i64) -> Result<i64, StoreError> {
        let row = sqlx::query("SELECT comment_id FROM comment_cursors WHERE repository = $1 AND thread = $2")
            .bind(repository)
            .bind(thread)
            .fetch_optional(&self.readers)
            .await
            .map_err(sql("read how far comments were read from"))?;
        Ok(row.map_or(0, |row| row.get(0)))
    }

    /// Stores what was read of a thread up to the comment `cursor`, and asks for `work(command)` for each command that
    /// is new, all or nothing. Returns those commands in the order given, which is also the order in which they fall
    /// due (C1.1). The cursor never goes back.
    ///
    /// # Errors
    /// Where the database cannot be written; then the comments are to be read again.
    pub async fn keep_comments(
        &self,
        repository: &str,
        thread: i64,
        cursor: i64,
        commands: &[CommandLine],
        work: impl Fn(&CommandLine) -> Ask + Send,
        now: Timestamp,
    ) -> Result<Vec<CommandLine>, StoreError> {
        let what = "write comments to";
        let mut asks: Vec<Ask> = commands.iter().map(work).collect();
        for index in 1..asks.len() {
            asks[index].due_at = asks[index].due_at.max(asks[index - 1].due_at.saturating_add(TICK).unwrap_or(now));
        }
        let mut transaction = self.begin(what).await?;
        let mut new = Vec::new();
        for (command, wanted) in commands.iter().zip(&asks) {
            let CommandLine { comment_id, line, text, by, written_at } = command;
            let done = sqlx::query(
                "INSERT INTO comments_seen (repository, thread, comment_id, line, text, by_id, by_login, written_at, \
                 seen_at, state) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, 'waiting') \
                 ON CONFLICT (repository, thread, comment_id, line) DO NOTHING",
            )
            .bind(repository)
            .bind(thread)
            .bind(comment_id)
            .bind(line)
            .bind(bounded(text, MAX_LINE))
            .bind(by.id)
            .bind(&by.login)
            .bind(written_at.as_millisecond())
            .bind(now.as_millisecond())
            .execute(&mut *transaction)
            .await
            .map_err(sql(what))?;
            if done.rows_affected() > 0 {
                ask(&mut transaction, std::slice::from_ref(wanted), now).await.map_err(sql(what))?;
                new.push(command.clone());
            }
        }
        sqlx::query(
            "INSERT INTO comment_cursors (repository, thread, comment_id) VALUES ($1, $2, $3) \
             ON CONFLICT (repository, thread) DO UPDATE SET comment_id = excluded.comment_id \
             WHERE comment_cursors.comment_id < excluded.comment_id",
        )
        .bind(repository)
        .bind(thread)
        .bind(cursor)
        .execute(&mut *transaction)
        .await
        .map_err(sql(what))?;
        transaction.commit().await.map_err(sql(what))?;
        if !new.is_empty() {
            self.asked.notify_one();
        }
        Ok(new)
    }

    /// One command.
    ///
    /// # Errors
    /// Where the database cannot be read or holds what we did not write.
    pub async fn command(
        &self,
        repository: &str,
        thread: i64,
        comment_id: i64,
        line: i64,
    ) -> Result<Option<SeenCommand>, StoreError> {
        let row = sqlx::query(
            "SELECT comment_id, line, text, by_id, by_login, written_at, state, reply_id FROM comments_seen \
             WHERE repository = $1 AND thread = $2 AND comment_id = $3 AND line = $4",
        )
        .bind(repository)
        .bind(thread)
        .bind(comment_id)
        .bind(line)
        .fetch_optional(&self.readers)
        .await
        .map_err(sql("read a command from"))?;
        row.map(|row| seen(&row)).transpose()
    }

    /// The commands of a thread, in the order they were written.
    ///
    /// # Errors
    /// Where the database cannot be read or holds what we did not write.
    pub async fn commands(&self, repository: &str, thread: i64) -> Result<Vec<SeenCommand>, StoreError> {
        let rows = sqlx::query(
            "SELECT comment_id, line, text, by_id, by_login, written_at, state, reply_id FROM comments_seen \
             WHERE repository = $1 AND thread = $2 ORDER BY comment_id, line",
        )
        .bind(repository)
        .bind(thread)
        .fetch_all(&self.readers)
        .await
        .map_err(sql("read commands from"))?;
        rows.iter().map(seen).collect()
    }

    /// How many commands a person wrote in a thread since `since`, for limits.
    ///
    /// # Errors
    /// Where the database cannot be read.
    pub async fn commands_by(
        &self,
        repository: &str,
        thread: i64,
        person: i64,
        since: Timestamp,
    ) -> Result<u64, StoreError> {
        let row = sqlx::query(
            "SELECT COUNT(*) FROM comments_seen WHERE repository = $1 AND thread = $2 AND by_id = $3 \
             AND written_at >= $4",
        )
        .bind(repository)
        .bind(thread)
        .bind(person)
        .bind(since.as_millisecond())
        .fetch_one(&self.readers)
        .await
        .map_err(sql("count commands in"))?;
        Ok(u64::try_from(row.get::<i64, _>(0)).unwrap_or(0))
    }

    /// Keeps how a command stands and, if it has one by now, our comment that answers it. False: it is settled (done,
    /// refused or failed) or not known, and nothing was written.
    ///
    /// # Errors
    /// Where the database cannot be written.
    pub async fn keep_progress(
        &self,
        repository: &str,
        thread: i64,
        (comment_id, line): (i64, i64),
        progress: Progress,
        reply_id: Option<i64>,
    ) -> Result<bool, StoreError> {
        let done = sqlx::query(
            "UPDATE comments_seen SET state = $5, reply_id = COALESCE($6, reply_id) WHERE repository = $1 \
             AND thread = $2 AND comment_id = $3 AND line = $4 AND state IN ('waiting', 'running')",
        )
        .bind(repository)
        .bind(thread)
        .bind(comment_id)
        .bind(line)
        .bind(progress.as_str())
        .bind(reply_id)
        .execute(&self.writer)
        .await
        .map_err(sql("keep how a command stands in"))?;
        Ok(done.rows_affected() > 0)
    }
}

fn seen(row: &SqliteRow) -> Result<SeenCommand, StoreError> {
    let state: &str = row.get(6);
    Ok(SeenCommand {
        command: CommandLine {
            comment_id: row.get(0),
            line: row.get(1),
            text: row.get(2),
            by: Person { id: row.get(3), login: row.get(4) },
            written_at: time(row.get(5)),
        },
        progress: Progress::ALL
            .into_iter()
            .find(|known| known.as_str() == state)
            .ok_or_else(|| StoreError::Unreadable { what: "the state of a command", value: state.to_owned() })?,
        reply_id: row.get(7),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::tests::{Opened, at, lease};
    use crate::store::work::{Kind, Lane};

    fn line(comment_id: i64, line: i64, text: &str) -> CommandLine {
        let by = Person { id: 7, login: "ann".into() };
        CommandLine { comment_id, line, text: text.into(), by, written_at: at(comment_id) }
    }

    fn work(command: &CommandLine) -> Ask {
        // Not in the order of the lines.
        let key = format!("r#5/{}/{}", command.comment_id, 9 - command.line);
        Ask::new(Kind::RunCommand, key, Lane::repository("r"), command.written_at)
    }

    #[tokio::test]
    async fn each_line_is_stored_and_asked_for_once_c1_3() {
        let store = Opened::new().await;
        let lines = [line(10, 1, "/merge"), line(10, 2, "/hold"), line(12, 1, "/help")];
        assert_eq!(store.comment_cursor("r", 5).await.unwrap(), 0);
        assert_eq!(store.keep_comments("r", 5, 10, &lines[..2], work, at(20)).await.unwrap(), lines[..2]);
        // Read again from the beginning, after a crash or by a second hook.
        assert_eq!(store.keep_comments("r", 5, 12, &lines, work, at(21)).await.unwrap(), lines[2..]);
        assert_eq!(store.keep_comments("r", 5, 10, &lines, work, at(22)).await.unwrap(), []);
        assert_eq!(store.comment_cursor("r", 5).await.unwrap(), 12);
        assert_eq!(store.comment_cursor("r", 6).await.unwrap(), 0);
        let mut keys = Vec::new();
        while let Some(claim) = store.claim("a", lease(), at(30)).await.unwrap() {
            assert_eq!(claim.asked, 1);
            keys.push(claim.key.clone());
            store.finish(&claim, crate::store::work::Next::Done, at(30)).await.unwrap();
        }
        assert_eq!(keys, ["r#5/10/8", "r#5/10/7", "r#5/12/8"]);
        assert_eq!(store.commands_by("r", 5, 7, at(11)).await.unwrap(), 1);
        assert_eq!(store.commands_by("r", 5, 8, at(0)).await.unwrap(), 0);
    }

    #[tokio::test]
    async fn a_settled_command_stays_settled() {
        let store = Opened::new().await;
        store.keep_comments("r", 5, 10, &[line(10, 1, "/merge")], work, at(20)).await.unwrap();
        let at_line = (10, 1);
        assert!(store.keep_progress("r", 5, at_line, Progress::Running, Some(99)).await.unwrap());
        assert!(store.keep_progress("r", 5, at_line, Progress::Done, None).await.unwrap());
        assert!(!store.keep_progress("r", 5, at_line, Progress::Failed, None).await.unwrap());
        assert!(!store.keep_progress("r", 5, (10, 2), Progress::Done, None).await.unwrap());
        let seen = store.command("r", 5, 10, 1).await.unwrap().unwrap();
        assert_eq!((seen.progress, seen.reply_id), (Progress::Done, Some(99)));
        assert_eq!(store.commands("r", 5).await.unwrap(), [seen]);
    }
}
