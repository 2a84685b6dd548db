//! The pages as people meet them: a real browser walks the demo from a scan to a merge.

#![allow(clippy::unwrap_used, reason = "a story that fails should end the test")]

use leadsman_tests::browser::Browser;
use leadsman_tests::demo::Demo;
use leadsman_tests::serve::eventually;

const SHOP: &str = "clusters/production/shop.yaml";

/// The lines of the pull requests that are listed, with their states.
fn listed(browser: &Browser) -> Vec<String> {
    browser.texts(".rows .lead")
}

/// What stands in the diff's lines of this kind.
fn changed(browser: &Browser, kind: &str) -> Vec<String> {
    browser.texts(&format!(".diff .{kind} .code"))
}

#[test]
fn from_the_list_of_repositories_to_a_merge_with_nothing_but_a_browser() {
    let folder = tempfile::tempdir().unwrap();
    let demo = Demo::start(folder.path());
    let browser = Browser::start(folder.path());

    browser.open(&demo.pages);
    assert_eq!(browser.title(), "Repositories · Leadsman");
    browser.reload_until("the repository is watched and was scanned", 20, |page| {
        let row = page.texts(".rows > li");
        (row.len() == 1 && row[0].contains("watched") && row[0].contains("scanned")).then_some(())
    });
    browser.picture("repositories");

    browser.follow("fleet.git");
    let repository = browser.url();
    let open = |page: &Browser| listed(page).into_iter().filter(|row| row.starts_with("open")).collect::<Vec<_>>();
    assert!(open(&browser).len() > 1, "{:?}", listed(&browser));
    browser.picture("repository");

    // One release with one image: one line goes, and one comes.
    browser.follow("in clusters/staging");
    assert_eq!((changed(&browser, "removed").len(), changed(&browser, "added").len()), (1, 1));
    assert_eq!(browser.text(".file .plus") + &browser.text(".file .minus"), "+1−1");

    // One release with two images. Its table, its diff, what it waits for.
    browser.open(&repository);
    browser.follow("Update shop/shop");
    let pull = browser.url();
    assert_eq!(browser.text("h1 + .facts .chip"), "open");
    let table = browser.texts(".text table:first-of-type tbody tr");
    assert_eq!(table.len(), 2, "{table:?}");
    assert!(table.iter().any(|row| row.contains("2.3.9") && row.contains("2.3.10")), "{table:?}");
    assert_eq!(changed(&browser, "removed"), ["      tag: main-4f1c2ab", "        tag: '2.3.9'"].map(str::trim));
    assert_eq!(changed(&browser, "added"), ["      tag: main-91d07e3", "        tag: '2.3.10'"].map(str::trim));
    let waits = browser.texts("aside .waits li");
    assert!(waits.iter().any(|wait| wait.contains("missing")), "{waits:?}");
    browser.picture("pull-open");

    // A newer image is pushed while people look.
    demo.push("shop/worker:2.3.11");
    browser.reload_until("the pull request moves on", 15, |page| {
        changed(page, "added").contains(&"tag: '2.3.11'".to_owned()).then_some(())
    });
    assert!(!browser.text(".main > .card.text").contains("2.3.10"));
    assert!(demo.file(SHOP).contains("2.3.9"), "only the branch changes");

    browser.write("#body", "/explain");
    browser.button("Comment");
    assert_eq!(browser.url().split('#').next(), Some(pull.as_str()));
    let answer = browser.reload_until("an answer to `/explain`", 15, |page| {
        page.texts(".comment.ours .text").into_iter().find(|text| text.contains("2.4.0"))
    });
    assert!(answer.contains("2.3.11"), "{answer}");
    assert!(browser.texts(".comment:not(.ours) .text").contains(&"/explain".to_owned()));
    browser.picture("pull-explained");

    browser.button("Merge when ready");
    browser.reload_until("merged", 30, |page| (page.text("h1 + .facts .chip") == "merged").then_some(()));
    assert!(browser.texts("main button.primary").is_empty(), "nothing is to be merged any more");
    browser.picture("pull-merged");
    assert!(demo.file(SHOP).contains("tag: '2.3.11'"), "{}", demo.file(SHOP));

    browser.follow("fleet.git");
    assert_eq!(browser.url(), repository);
    let rows = browser.reload_until("it is open no longer", 15, |page| {
        let rows = listed(page);
        (!open(page).iter().any(|row| row.contains("Update shop/shop"))).then_some(rows)
    });
    assert!(rows.iter().any(|row| row.starts_with("merged") && row.contains("Update shop/shop")), "{rows:?}");
    browser.picture("repository-merged");

    browser.follow("Work");
    assert_eq!(browser.title(), "Work · Leadsman");
    assert!(!browser.texts(".chip").iter().any(|state| state == "parked"), "{}", browser.text("main"));
    browser.picture("work");
    browser.follow("Errors");
    assert_eq!(browser.text(".nothing .head"), "No errors", "{}", browser.text("main"));
    browser.picture("errors");

    // Nothing violated the policy of the pages, failed to load or failed to run. That a violation would be seen here:
    let console = browser.console();
    assert!(console.is_empty(), "{console:#?}");
    browser.run("const image = new Image(); image.src = 'http://127.0.0.1:1/'; document.body.append(image)", &[]);
    let console = eventually("the console tells", 5, || Some(browser.console()).filter(|lines| !lines.is_empty()));
    assert!(console[0].contains("Content Security Policy"), "{console:?}");
}
