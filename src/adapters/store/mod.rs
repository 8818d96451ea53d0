//! The database: SQLite or PostgreSQL, one SQL text for both.
