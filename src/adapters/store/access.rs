//! Who may use the API: users, sessions, one-time links, tokens, and answers kept for repeated
//! requests. Tokens are known by their SHA-256 only.

use crate::domain::ids::{AgentId, UserId};
use crate::domain::time::{Duration, Utc};

use super::db::Db;
use super::error::StoreError;
use super::words::{clean, whole};

/// How long an answer is kept for who asks again with the same key.
const ANSWER_KEPT: Duration = Duration::from_hours(24);

/// Someone who may sign in.
#[derive(Clone, PartialEq, Eq)]
pub struct UserRow {
    /// Their id.
    pub id: UserId,
    /// Their name.
    pub name: String,
    /// `admin`, `manager`, `agent` or `integration`.
    pub role: String,
    /// Whose desk is theirs.
    pub agent: Option<AgentId>,
    /// The hash of their password; without one only a link lets them in.
    pub password_hash: Option<String>,
}

/// A machine that may ask.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenRow {
    /// Its name.
    pub name: String,
    /// `admin`, `manager`, `agent` or `integration`.
    pub role: String,
    /// Whose desk it acts at.
    pub agent: Option<AgentId>,
}

/// A token as administrators see it: what it is, never the token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenEntry {
    /// The first 16 hexadecimal digits of its hash.
    pub id: String,
    /// What it is.
    pub token: TokenRow,
    /// When it was made.
    pub created: Utc,
}

/// An answer that was given before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptAnswer {
    /// Its HTTP status.
    pub status: u16,
    /// What was kept of it.
    pub body: String,
}

type UserColumns = (i64, String, String, Option<i64>, Option<String>);

fn user_of((id, name, role, agent, password_hash): UserColumns) -> UserRow {
    let (id, agent) = (UserId::new(id), agent.map(AgentId::new));
    UserRow { id, name, role, agent, password_hash }
}

impl Db {
    /// All users, by id.
    pub async fn users(&self) -> Result<Vec<UserRow>, StoreError> {
        const SQL: &str = "SELECT id, name, role, agent, password_hash FROM app_user ORDER BY id";
        let rows: Vec<UserColumns> =
            on_db!(self, pool => sqlx::query_as(SQL).fetch_all(pool).await?);
        Ok(rows.into_iter().map(user_of).collect())
    }

    /// The user of this name.
    pub async fn user_by_name(&self, name: &str) -> Result<Option<UserRow>, StoreError> {
        const SQL: &str =
            "SELECT id, name, role, agent, password_hash FROM app_user WHERE name = $1";
        let row: Option<UserColumns> = on_db!(self, pool => {
            sqlx::query_as(SQL).bind(clean(name)).fetch_optional(pool).await?
        });
        Ok(row.map(user_of))
    }

    /// Makes a user without a password.
    pub async fn create_user(
        &self,
        name: &str,
        role: &str,
        agent: Option<AgentId>,
        at: Utc,
    ) -> Result<UserId, StoreError> {
        const SQL: &str = "INSERT INTO app_user (name, role, agent, created_ms) \
                           VALUES ($1, $2, $3, $4) \
                           ON CONFLICT (name) DO NOTHING RETURNING id";
        let mut tx = self.begin().await?;
        let row: Option<(i64,)> = on_tx!(&mut tx, conn => {
            sqlx::query_as(SQL).bind(name).bind(role).bind(agent.map(AgentId::get))
                .bind(at.as_ms()).fetch_optional(conn).await?
        });
        let (id,) = row.ok_or(StoreError::NameTaken)?;
        tx.commit().await?;
        Ok(UserId::new(id))
    }

    /// Sets name and password hash of a user, and ends every session of theirs but `keep`.
    pub async fn set_user_password(
        &self,
        id: UserId,
        name: &str,
        password_hash: &str,
        keep: &[u8; 32],
    ) -> Result<(), StoreError> {
        const TAKEN: &str = "SELECT id FROM app_user WHERE name = $1 AND id <> $2";
        const SET: &str = "UPDATE app_user SET name = $2, password_hash = $3 WHERE id = $1";
        const END: &str = "DELETE FROM session WHERE app_user = $1 AND hash <> $2";
        let mut tx = self.begin().await?;
        let taken: Option<(i64,)> = on_tx!(&mut tx, conn => {
            sqlx::query_as(TAKEN).bind(name).bind(id.get()).fetch_optional(conn).await?
        });
        if taken.is_some() {
            return Err(StoreError::NameTaken);
        }
        let changed = on_tx!(&mut tx, conn => {
            sqlx::query(SET).bind(id.get()).bind(name).bind(password_hash).execute(conn).await?
                .rows_affected()
        });
        if changed == 0 {
            return Err(StoreError::NotFound("user"));
        }
        on_tx!(&mut tx, conn => {
            sqlx::query(END).bind(id.get()).bind(keep.as_slice()).execute(conn).await?;
        });
        tx.commit().await
    }

    /// Begins a session; sessions that are over make room.
    pub async fn add_session(
        &self,
        hash: &[u8; 32],
        user: UserId,
        at: Utc,
        until: Utc,
    ) -> Result<(), StoreError> {
        const OVER: &str = "DELETE FROM session WHERE expires_ms <= $1";
        const ADD: &str = "INSERT INTO session (hash, app_user, created_ms, expires_ms) \
                           VALUES ($1, $2, $3, $4)";
        let mut tx = self.begin().await?;
        on_tx!(&mut tx, conn => {
            sqlx::query(OVER).bind(at.as_ms()).execute(conn).await?;
        });
        on_tx!(&mut tx, conn => {
            sqlx::query(ADD).bind(hash.as_slice()).bind(user.get()).bind(at.as_ms())
                .bind(until.as_ms()).execute(conn).await?;
        });
        tx.commit().await
    }

    /// Whose session it is, if it is one and not over.
    pub async fn session(&self, hash: &[u8; 32], at: Utc) -> Result<Option<UserRow>, StoreError> {
        const SQL: &str = "SELECT u.id, u.name, u.role, u.agent, u.password_hash FROM session s \
                           JOIN app_user u ON u.id = s.app_user \
                           WHERE s.hash = $1 AND s.expires_ms > $2";
        let row: Option<UserColumns> = on_db!(self, pool => {
            sqlx::query_as(SQL).bind(hash.as_slice()).bind(at.as_ms()).fetch_optional(pool).await?
        });
        Ok(row.map(user_of))
    }

    /// Ends a session.
    pub async fn end_session(&self, hash: &[u8; 32]) -> Result<(), StoreError> {
        const SQL: &str = "DELETE FROM session WHERE hash = $1";
        let mut tx = self.begin().await?;
        on_tx!(&mut tx, conn => { sqlx::query(SQL).bind(hash.as_slice()).execute(conn).await?; });
        tx.commit().await
    }

    /// Keeps a one-time link.
    pub async fn add_link(
        &self,
        hash: &[u8; 32],
        user: UserId,
        at: Utc,
        until: Utc,
    ) -> Result<(), StoreError> {
        const SQL: &str = "INSERT INTO one_time_link (hash, app_user, created_ms, expires_ms) \
                           VALUES ($1, $2, $3, $4)";
        let mut tx = self.begin().await?;
        on_tx!(&mut tx, conn => {
            sqlx::query(SQL).bind(hash.as_slice()).bind(user.get()).bind(at.as_ms())
                .bind(until.as_ms()).execute(conn).await?;
        });
        tx.commit().await
    }

    /// Uses a link up; whose it was, if it was good. Of two who use it at once, one gets in.
    pub async fn use_link(&self, hash: &[u8; 32], at: Utc) -> Result<Option<UserId>, StoreError> {
        const SQL: &str = "UPDATE one_time_link SET used_ms = $2 \
                           WHERE hash = $1 AND used_ms IS NULL AND expires_ms > $2 \
                           RETURNING app_user";
        let mut tx = self.begin().await?;
        let row: Option<(i64,)> = on_tx!(&mut tx, conn => {
            sqlx::query_as(SQL).bind(hash.as_slice()).bind(at.as_ms()).fetch_optional(conn).await?
        });
        tx.commit().await?;
        Ok(row.map(|(user,)| UserId::new(user)))
    }

    /// Keeps a machine's token.
    pub async fn add_api_token(
        &self,
        hash: &[u8; 32],
        name: &str,
        role: &str,
        agent: Option<AgentId>,
        at: Utc,
    ) -> Result<(), StoreError> {
        const SQL: &str = "INSERT INTO api_token (hash, name, role, agent, created_ms) \
                           VALUES ($1, $2, $3, $4, $5)";
        let mut tx = self.begin().await?;
        on_tx!(&mut tx, conn => {
            sqlx::query(SQL).bind(hash.as_slice()).bind(clean(name)).bind(role)
                .bind(agent.map(AgentId::get)).bind(at.as_ms()).execute(conn).await?;
        });
        tx.commit().await
    }

    /// Whose token it is.
    pub async fn api_token(&self, hash: &[u8; 32]) -> Result<Option<TokenRow>, StoreError> {
        const SQL: &str = "SELECT name, role, agent FROM api_token \
                           WHERE hash = $1 AND revoked_ms IS NULL";
        let row: Option<(String, String, Option<i64>)> = on_db!(self, pool => {
            sqlx::query_as(SQL).bind(hash.as_slice()).fetch_optional(pool).await?
        });
        Ok(row.map(|(name, role, agent)| TokenRow { name, role, agent: agent.map(AgentId::new) }))
    }

    /// All tokens that are good, the newest first.
    pub async fn api_tokens(&self) -> Result<Vec<TokenEntry>, StoreError> {
        type Row = (Vec<u8>, String, String, Option<i64>, i64);
        const SQL: &str = "SELECT hash, name, role, agent, created_ms FROM api_token \
                           WHERE revoked_ms IS NULL ORDER BY created_ms DESC, hash";
        let rows: Vec<Row> = on_db!(self, pool => sqlx::query_as(SQL).fetch_all(pool).await?);
        let rows = rows.into_iter().map(|(hash, name, role, agent, created_ms)| TokenEntry {
            id: token_id(&hash),
            token: TokenRow { name, role, agent: agent.map(AgentId::new) },
            created: Utc::from_ms(created_ms),
        });
        Ok(rows.collect())
    }

    /// Makes a token good for nothing. Whether there was one of this id.
    pub async fn revoke_api_token(&self, id: &str, at: Utc) -> Result<bool, StoreError> {
        const FIND: &str = "SELECT hash FROM api_token WHERE revoked_ms IS NULL";
        const REVOKE: &str = "UPDATE api_token SET revoked_ms = $2 WHERE hash = $1";
        let mut tx = self.begin().await?;
        // There are tens of tokens; a text form of the hash differs between the databases.
        let rows: Vec<(Vec<u8>,)> = on_tx!(&mut tx, conn => {
            sqlx::query_as(FIND).fetch_all(conn).await?
        });
        let Some((hash,)) = rows.into_iter().find(|(hash,)| token_id(hash) == id) else {
            return Ok(false);
        };
        on_tx!(&mut tx, conn => {
            sqlx::query(REVOKE).bind(hash).bind(at.as_ms()).execute(conn).await?;
        });
        tx.commit().await?;
        Ok(true)
    }

    /// Takes a user away with their sessions and links. Whether there was one.
    pub async fn remove_user(&self, id: UserId) -> Result<bool, StoreError> {
        const SQL: &str = "DELETE FROM app_user WHERE id = $1";
        let mut tx = self.begin().await?;
        for sql in [
            "DELETE FROM session WHERE app_user = $1",
            "DELETE FROM one_time_link WHERE app_user = $1",
        ] {
            on_tx!(&mut tx, conn => { sqlx::query(sql).bind(id.get()).execute(conn).await?; });
        }
        let gone = on_tx!(&mut tx, conn => {
            sqlx::query(SQL).bind(id.get()).execute(conn).await?.rows_affected()
        });
        tx.commit().await?;
        Ok(gone > 0)
    }

    /// The answer that a request with this key got within the last day.
    pub async fn kept_answer(
        &self,
        scope: &str,
        key: &str,
        at: Utc,
    ) -> Result<Option<KeptAnswer>, StoreError> {
        const SQL: &str = "SELECT status, body FROM idempotency_key \
                           WHERE scope = $1 AND key = $2 AND at_ms > $3";
        let since = at.as_ms() - answer_kept_ms();
        let row: Option<(i64, String)> = on_db!(self, pool => {
            sqlx::query_as(SQL).bind(scope).bind(key).bind(since).fetch_optional(pool).await?
        });
        let Some((status, body)) = row else { return Ok(None) };
        Ok(Some(KeptAnswer { status: whole("status", status)?, body }))
    }

    /// Keeps an answer for a day; older ones make room.
    pub async fn keep_answer(
        &self,
        scope: &str,
        key: &str,
        answer: &KeptAnswer,
        at: Utc,
    ) -> Result<(), StoreError> {
        const OLD: &str = "DELETE FROM idempotency_key WHERE at_ms <= $1";
        const KEEP: &str = "INSERT INTO idempotency_key (scope, key, status, body, at_ms) \
                            VALUES ($1, $2, $3, $4, $5) ON CONFLICT (scope, key) DO NOTHING";
        let mut tx = self.begin().await?;
        on_tx!(&mut tx, conn => {
            sqlx::query(OLD).bind(at.as_ms() - answer_kept_ms()).execute(conn).await?;
        });
        on_tx!(&mut tx, conn => {
            sqlx::query(KEEP).bind(scope).bind(key).bind(i64::from(answer.status))
                .bind(&answer.body).bind(at.as_ms()).execute(conn).await?;
        });
        tx.commit().await
    }
}

fn token_id(hash: &[u8]) -> String {
    use std::fmt::Write as _;
    hash.iter().take(8).fold(String::new(), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn answer_kept_ms() -> i64 {
    i64::try_from(ANSWER_KEPT.as_millis()).unwrap_or(i64::MAX)
}
