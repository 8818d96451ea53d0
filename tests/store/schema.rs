//! The two schemas are one, and the hot statements read by their keys.

use std::collections::BTreeMap;

use campanile::adapters::store::{crm_outbox, dnc, ready_queue};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{AssertSqlSafe, Connection, PgPool, Row, SqliteConnection};

use crate::world::{Place, each_db};

/// Of each column: its type in a word that both databases share, whether it may be NULL, and its
/// place in the primary key.
type Columns = BTreeMap<String, (String, bool, i64)>;

#[tokio::test]
async fn both_databases_have_the_same_tables_columns_keys_and_indexes() {
    let places = each_db().await;
    let (sqlite, postgres) = (&places[0], &places[1]);
    let mine = columns_of_sqlite(sqlite).await;
    let theirs = columns_of_postgres(postgres).await;
    assert!(mine.len() > 20, "{} tables", mine.len());
    assert_eq!(mine.keys().collect::<Vec<_>>(), theirs.keys().collect::<Vec<_>>());
    for (table, columns) in &mine {
        assert_eq!(columns, &theirs[table], "columns of {table}");
    }
    assert_eq!(indexes_of_sqlite(sqlite).await, indexes_of_postgres(postgres).await);
}

/// Migrations carry the same numbers and names in both folders.
#[test]
fn migrations_carry_the_same_names_in_both_folders() {
    let names = |folder: &str| {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("migrations").join(folder);
        let mut names: Vec<_> =
            std::fs::read_dir(path).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        names
    };
    assert_eq!(names("sqlite"), names("postgres"));
}

async fn sqlite(place: &Place) -> SqliteConnection {
    let options: SqliteConnectOptions = place.url.parse().unwrap();
    SqliteConnection::connect_with(&options).await.unwrap()
}

async fn postgres(place: &Place) -> PgPool {
    PgPool::connect_with(place.postgres_options().unwrap()).await.unwrap()
}

async fn columns_of_sqlite(place: &Place) -> BTreeMap<String, Columns> {
    const SQL: &str = "SELECT m.name, c.name, c.type, c.\"notnull\", c.pk \
        FROM sqlite_schema m JOIN pragma_table_info(m.name) c \
        WHERE m.type = 'table' AND m.name NOT LIKE '\\_sqlx%' ESCAPE '\\' \
        AND m.name NOT LIKE 'sqlite\\_%' ESCAPE '\\'";
    let mut conn = sqlite(place).await;
    let rows: Vec<(String, String, String, i64, i64)> =
        sqlx::query_as(SQL).fetch_all(&mut conn).await.unwrap();
    let mut tables = BTreeMap::<String, Columns>::new();
    for (table, column, kind, not_null, key) in rows {
        tables.entry(table).or_default().insert(column, (kind, not_null == 0, key));
    }
    tables
}

async fn columns_of_postgres(place: &Place) -> BTreeMap<String, Columns> {
    const SQL: &str = "SELECT c.table_name::TEXT, c.column_name::TEXT, c.data_type::TEXT, \
        c.is_nullable::TEXT, COALESCE(k.ordinal_position, 0)::BIGINT \
        FROM information_schema.columns c LEFT JOIN (information_schema.key_column_usage k \
        JOIN information_schema.table_constraints t ON t.constraint_name = k.constraint_name \
        AND t.table_schema = k.table_schema AND t.constraint_type = 'PRIMARY KEY') \
        ON k.table_schema = c.table_schema AND k.table_name = c.table_name \
        AND k.column_name = c.column_name \
        WHERE c.table_schema = current_schema() AND c.table_name NOT LIKE '\\_sqlx%'";
    let rows: Vec<(String, String, String, String, i64)> =
        sqlx::query_as(SQL).fetch_all(&postgres(place).await).await.unwrap();
    let mut tables = BTreeMap::<String, Columns>::new();
    for (table, column, kind, nullable, key) in rows {
        // What each of these types is on SQLite.
        let kind = match kind.as_str() {
            "bigint" | "boolean" => "INTEGER",
            "text" => "TEXT",
            "uuid" | "bytea" => "BLOB",
            other => panic!("{table}.{column} has a type outside the portable subset: {other}"),
        };
        let is_null = nullable == "YES";
        tables.entry(table).or_default().insert(column, (kind.to_owned(), is_null, key));
    }
    tables
}

async fn indexes_of_sqlite(place: &Place) -> Vec<String> {
    const SQL: &str = "SELECT name FROM sqlite_schema WHERE type = 'index' AND sql IS NOT NULL \
                       ORDER BY name";
    sqlx::query_scalar(SQL).fetch_all(&mut sqlite(place).await).await.unwrap()
}

async fn indexes_of_postgres(place: &Place) -> Vec<String> {
    // Those of primary keys and UNIQUE columns have names of the database's own making.
    const SQL: &str = "SELECT indexname::TEXT FROM pg_indexes WHERE schemaname = current_schema() \
        AND indexname NOT LIKE '%\\_pkey' AND indexname NOT LIKE '%\\_key' ORDER BY indexname";
    sqlx::query_scalar(SQL).fetch_all(&postgres(place).await).await.unwrap()
}

/// Rows for the queue of campaign 1, past the store: 200,000 by way of lists would take a minute.
fn fill(n: u32) -> String {
    format!(
        "DELETE FROM dial_ready; DELETE FROM dial_wait; \
         WITH RECURSIVE i(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM i WHERE n < {n}) \
         INSERT INTO dial_ready SELECT 1, 0, n % 3, n, n, n, n, 'UTC', 'mobile', 1, 0 FROM i; \
         WITH RECURSIVE i(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM i WHERE n < {n}) \
         INSERT INTO dial_wait SELECT 1, 1000000 + n, n FROM i; ANALYZE"
    )
}

/// The statements of a refill, with what they are asked in the middle of the queue.
fn refill() -> [(&'static str, Vec<i64>); 4] {
    [
        (ready_queue::READ_ON, vec![1, 0, 1, 500, 100]),
        (ready_queue::DUE, vec![1, 999_999, 100]),
        (ready_queue::NEXT_DUE, vec![1]),
        (ready_queue::HEAD, vec![1, 0]),
    ]
}

/// SQLite counts the steps of its machine; a statement that scanned, or sorted, would take more
/// where there is more.
#[tokio::test]
async fn a_refill_costs_the_same_in_a_queue_of_a_thousand_and_of_two_hundred_thousand() {
    let mut steps = vec![];
    let mut blocks = vec![];
    for n in [1_000, 200_000] {
        // Fresh ones: what was deleted and not vacuumed would be read along on PostgreSQL.
        let places = each_db().await;
        for place in &places {
            place.shell(&fill(n)).await;
        }
        steps.push(steps_of_refill(&places[0]).await);
        blocks.push(blocks_of_refill(&places[1]).await);
    }
    for ((small, large), (sql, _)) in steps[0].iter().zip(&steps[1]).zip(refill()) {
        assert!(*small > 0);
        assert!(*large <= small + 10, "SQLite: {small} steps, then {large}: {sql}");
    }
    for ((small, large), (sql, _)) in blocks[0].iter().zip(&blocks[1]).zip(refill()) {
        // A tree of two hundred times as many rows may be two levels higher, no more.
        assert!(*large <= small + 4, "PostgreSQL: {small} blocks, then {large}: {sql}");
    }
}

async fn steps_of_refill(place: &Place) -> Vec<usize> {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    let mut conn = sqlite(place).await;
    let mut all = vec![];
    for (sql, values) in refill() {
        let steps = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&steps);
        conn.lock_handle().await.unwrap().set_progress_handler(1, move || {
            count.fetch_add(1, Ordering::Relaxed);
            true
        });
        let mut query = sqlx::query(sql);
        for value in values {
            query = query.bind(value);
        }
        query.fetch_all(&mut conn).await.unwrap();
        all.push(steps.load(Ordering::Relaxed));
    }
    all
}

async fn blocks_of_refill(place: &Place) -> Vec<usize> {
    let pool = postgres(place).await;
    let mut all = vec![];
    for (sql, values) in refill() {
        let sql = format!("EXPLAIN (ANALYZE, BUFFERS, COSTS OFF, TIMING OFF) {sql}");
        let mut query = sqlx::query(AssertSqlSafe(sql));
        for value in values {
            query = query.bind(value);
        }
        let plan: Vec<String> = query
            .fetch_all(&pool)
            .await
            .unwrap()
            .iter()
            .map(|row| row.get::<String, _>(0))
            .collect();
        // The first line of buffers is that of the whole plan: "Buffers: shared hit=7 read=2".
        let buffers = plan.iter().find(|line| line.contains("Buffers:")).unwrap();
        let numbers = buffers.split(['=', ' ']).filter_map(|word| word.parse::<usize>().ok());
        all.push(numbers.sum());
        assert!(plan.iter().all(|line| !line.contains("Seq Scan") && !line.contains("Sort")));
    }
    all
}

#[tokio::test]
async fn the_statements_of_queue_intent_and_outbox_search_by_their_keys_on_sqlite() {
    let place = each_db().await.remove(0);
    // With statistics of a full queue and of an empty one: the planner must not change its mind.
    for rows in [200_000, 0] {
        place.shell(&fill(rows)).await;
        let expected = [
            (
                ready_queue::READ_ON,
                "dial_ready USING PRIMARY KEY (campaign=? AND bucket=? AND (prio,seq)>(?,?))",
            ),
            (ready_queue::HEAD, "dial_ready USING PRIMARY KEY (campaign=? AND bucket=?)"),
            (
                ready_queue::TAKE,
                "dial_ready USING PRIMARY KEY (campaign=? AND bucket=? AND prio=? AND seq=?)",
            ),
            (ready_queue::DUE, "dial_wait USING PRIMARY KEY (campaign=? AND due_ms<?)"),
            (ready_queue::NEXT_DUE, "dial_wait USING PRIMARY KEY (campaign=?)"),
            (dnc::IS_LISTED, "dnc USING PRIMARY KEY (digits=? AND scope=?)"),
            (crm_outbox::CLAIM_SQLITE, "o USING INDEX crm_outbox_order (endpoint=?)"),
            (
                crm_outbox::CLAIM_SQLITE,
                "p USING COVERING INDEX crm_outbox_person (endpoint=? AND person=? AND id<?)",
            ),
        ];
        for (sql, search) in expected {
            let plan = plan_on_sqlite(&place, sql).await;
            assert!(plan.contains(&format!("SEARCH {search}")), "{rows} rows: {sql}\n{plan}");
            assert!(!plan.contains("TEMP B-TREE"), "{rows} rows: {sql}\n{plan}");
            let scans = plan.lines().filter(|line| line.starts_with("SCAN ")).count();
            // The claim reads back its own list of ids, no more.
            assert!(scans == 0 || plan.contains("SCAN head"), "{rows} rows: {sql}\n{plan}");
        }
    }
}

async fn plan_on_sqlite(place: &Place, sql: &str) -> String {
    let sql = AssertSqlSafe(format!("EXPLAIN QUERY PLAN {sql}"));
    let rows = sqlx::query(sql).fetch_all(&mut sqlite(place).await).await.unwrap();
    rows.iter().map(|row| row.get::<String, _>("detail") + "\n").collect()
}

#[tokio::test]
async fn the_claim_of_the_outbox_reads_no_more_than_it_takes_on_postgresql() {
    let place = each_db().await.remove(1);
    place
        .shell(
            "INSERT INTO crm_outbox (endpoint, person, campaign, event, type, body, created_ms, \
             next_ms, lease_until_ms, tries) SELECT 1, n / 3, 1, gen_random_uuid(), 't', '{}', 0, \
             0, 0, 0 FROM generate_series(1, 60000) AS n; ANALYZE crm_outbox",
        )
        .await;
    let sql = format!("EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF) {}", crm_outbox::CLAIM_POSTGRES);
    let rows = sqlx::query(AssertSqlSafe(sql))
        .bind(1i64)
        .bind(10i64)
        .bind(20i64)
        .bind(50i64)
        .fetch_all(&postgres(&place).await)
        .await
        .unwrap();
    let plan: Vec<String> = rows.iter().map(|row| row.get::<String, _>(0)).collect();
    // A scan of the whole outbox would show its 60,000 rows somewhere in the plan.
    let most = plan
        .iter()
        .filter_map(|line| line.split("rows=").nth(1))
        .filter_map(|rest| rest.split([' ', ')']).next()?.parse::<f64>().ok())
        .fold(0.0, f64::max);
    assert!((50.0..1_000.0).contains(&most), "{most} rows\n{}", plan.join("\n"));
}
