//! Files become lists whole or not at all.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};

use campanile::adapters::import::job::{ImportError, Report, import_csv};
use campanile::adapters::import::numbers::Region;
use campanile::adapters::import::row::Reading;

use crate::world::{World, until};

fn ukraine() -> Reading {
    Reading { region: Region::parse("UA"), ..Reading::default() }
}

fn file(world: &World, text: &str) -> PathBuf {
    let path = world.folder.path().join("people.csv");
    std::fs::write(&path, text).unwrap();
    path
}

async fn import(world: &World, text: &str) -> Result<Report, ImportError> {
    let path = file(world, text);
    import_csv(world.import(ukraine()), &path, |_| {}).await
}

fn many(rows: u32) -> String {
    let mut text = String::from("ПІБ;Телефон;Місто\n");
    for n in 0..rows {
        writeln!(text, "Людина {n};050{n:07};Київ").unwrap();
    }
    text
}

#[tokio::test]
async fn a_file_becomes_a_list_with_a_report_and_a_reject_file() {
    let world = World::new().await;
    let text = "ПІБ,Телефон,Код клієнта,Часовий пояс,Місто\n\
                Олена,050 123 45 67,c-1,,Львів\n\
                Іван,+44 20 7946 0018,c-2,Europe/Paris,\n\
                Олена знову,+380501234567,c-3,,\n\
                Ніхто,,c-4,,\n\
                Хтось,0501112233,c-5,Nowhere,\n";
    let report = import(&world, text).await.unwrap();
    assert_eq!((report.rows, report.accepted, report.duplicates, report.rejected), (5, 2, 1, 2));
    let zones = world.texts("SELECT zone FROM contact ORDER BY id").await;
    assert_eq!(zones, ["Europe/Kyiv", "Europe/Paris"]);
    let refs = world
        .texts(
            "SELECT p.external_ref FROM contact c JOIN person p ON p.id = c.person ORDER BY c.id",
        )
        .await;
    assert_eq!(refs, ["c-1", "c-2"]);
    let path = world.folder.path().join(format!("rejects/list-{}.csv", report.list));
    assert_eq!(
        std::fs::read_to_string(&path).unwrap(),
        "row,column,reason,value\n5,Телефон,no number,\n6,Часовий пояс,unknown time zone,Nowhere\n"
    );
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let mode = std::fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o077, 0, "rejects are personal data");
    }
}

#[tokio::test]
async fn a_file_that_breaks_off_leaves_no_list_and_no_reject_file() {
    let world = World::new().await;
    let mut text = many(3_000);
    text.push_str("Ніхто;;\n\"never closed;");
    text.push_str(&"x".repeat(2 << 20));
    let error = import(&world, &text).await.unwrap_err().to_string();
    assert!(error.contains("line 3003"), "{error}");
    assert_eq!(world.number("SELECT COUNT(*) FROM contact").await, 0);
    assert_eq!(world.number("SELECT COUNT(*) FROM list WHERE state = 'ready'").await, 0);
    let rejects = std::fs::read_dir(world.folder.path().join("rejects"));
    assert_eq!(rejects.map_or(0, Iterator::count), 0);
}

#[tokio::test]
async fn an_import_that_is_cancelled_leaves_no_list() {
    let world = World::new().await;
    let path = file(&world, &many(20_000));
    let rows = AtomicU64::new(0);
    let importing =
        import_csv(world.import(ukraine()), &path, |now| rows.store(now.rows, Ordering::Relaxed));
    tokio::select! {
        ended = importing => panic!("not cancelled in time: {ended:?}"),
        () = until("a part is in", async || rows.load(Ordering::Relaxed) >= 2_000) => {}
    }
    until("the list is gone", async || {
        world.number("SELECT COUNT(*) FROM contact").await == 0
            && world.number("SELECT COUNT(*) FROM list WHERE state <> 'dropped'").await == 0
    })
    .await;
}

#[tokio::test]
async fn a_list_is_not_seen_before_it_is_whole() {
    let world = World::new().await;
    let path = file(&world, &many(5_000));
    let import = world.import(ukraine());
    let db = world.db.clone();
    let watch = async {
        let mut seen = vec![];
        loop {
            let lists = db.lists().await.unwrap();
            if let Some(list) = lists.first() {
                seen.push((list.state.clone(), list.contacts));
                if list.state == "ready" {
                    return seen;
                }
            }
            tokio::task::yield_now().await;
        }
    };
    let (report, seen) = tokio::join!(import_csv(import, &path, |_| {}), watch);
    assert_eq!(report.unwrap().accepted, 5_000);
    assert!(seen.iter().any(|(state, _)| state == "loading"), "it was watched while it loaded");
    let early = seen.iter().find(|(state, contacts)| state == "ready" && *contacts < 5_000);
    assert_eq!(early, None);
}
