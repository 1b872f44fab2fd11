use super::*;
use crate::SystemRandom;

const ENTRIES: i64 = 1000;

fn row(seq: i64) -> AuditRow {
    AuditRow {
        seq,
        at: 1_800_000_000_000_000 + seq,
        kind: "token_released".into(),
        grant_id: Some(format!("grant {}", seq % 7)),
        sid: (seq % 2 == 0).then(|| format!("s{seq}")),
        key_id: Some("key".into()),
        user_id: None,
        agent_id: (seq % 3 == 0).then(|| "agent".into()),
        request_id: Some(format!("r{seq}")),
        details: format!("{{\"n\":\"{seq}\"}}"),
        hash: None,
    }
}

/// Recomputes the chain value of every row from index `from` on.
fn rechain(app: AppId, rows: &mut [AuditRow], from: usize) {
    for i in from..rows.len() {
        let before = if i == 0 { CHAIN_START } else { rows[i - 1].hash.unwrap_or(CHAIN_START) };
        rows[i].hash = Some(chain(app, &before, &rows[i]));
    }
}

fn log(app: AppId) -> Vec<AuditRow> {
    let mut rows: Vec<_> = (1..=ENTRIES).map(row).collect();
    rechain(app, &mut rows, 0);
    rows
}

fn end(rows: &[AuditRow]) -> Option<Anchor> {
    rows.last().map(|row| Anchor { seq: row.seq, hash: row.hash.unwrap_or(CHAIN_START) })
}

fn walk(
    app: AppId,
    rows: &[AuditRow],
    head: Option<Anchor>,
    kept: Option<Anchor>,
) -> Result<Anchor, BadEntry> {
    let mut walk = ChainWalk::new(app, Anchor::START, 0);
    kept.into_iter().for_each(|anchor| walk.must_pass(anchor));
    rows.iter().try_for_each(|row| walk.feed(row))?;
    walk.finish(head).map(|checked| checked.head)
}

/// Begins the walk ten entries before `index`, at a point that was walked already. Only the rows near the mutation
/// matter, and a thousand walks over a thousand rows take seconds.
fn walk_near(
    app: AppId,
    good: &[AuditRow],
    rows: &[AuditRow],
    index: usize,
    head: Option<Anchor>,
) -> Result<Anchor, BadEntry> {
    let skipped = index.saturating_sub(10);
    let start = end(&good[..skipped]).unwrap_or(Anchor::START);
    let mut walk = ChainWalk::new(app, start, 0);
    rows[skipped..].iter().try_for_each(|row| walk.feed(row))?;
    walk.finish(head).map(|checked| checked.head)
}

type Mutation = fn(&mut Vec<AuditRow>, usize);

/// Each field edited, each absent field made present and the reverse, and the chain value itself.
const EDITS: [Mutation; 14] = [
    |rows, i| rows[i].at += 1,
    |rows, i| rows[i].kind.push(' '),
    |rows, i| rows[i].kind = "session_claimed".into(),
    |rows, i| rows[i].grant_id = None,
    |rows, i| rows[i].grant_id = Some("another".into()),
    |rows, i| rows[i].sid = Some("x".into()),
    |rows, i| rows[i].key_id = Some("another".into()),
    |rows, i| rows[i].user_id = Some(String::new()),
    |rows, i| rows[i].agent_id = Some("x".into()),
    |rows, i| rows[i].request_id = None,
    |rows, i| rows[i].details.push(' '),
    |rows, i| rows[i].details = "{}".into(),
    |rows, i| rows[i].hash = rows[i].hash.map(|mut h| (h[31] ^= 1, h).1),
    |rows, i| (rows[i].key_id, rows[i].user_id) = (None, rows[i].key_id.clone()),
];

#[test]
fn t96_every_mutation_of_every_entry_in_a_log_of_a_thousand_is_found_and_the_entry_named() {
    let app = AppId::new(&SystemRandom);
    let good = log(app);
    let head = end(&good);
    assert_eq!(walk(app, &good, head, head), Ok(head.unwrap()), "the untouched log is good");
    let mut found = 0;
    let mut expect = |i: usize, rows: &[AuditRow], seq: i64, what: Tampering| {
        assert_eq!(walk_near(app, &good, rows, i, head), Err(BadEntry { seq, what }), "index {i}");
        found += 1;
    };
    for i in 0..good.len() {
        let seq = good[i].seq;
        for edit in EDITS {
            let mut rows = good.clone();
            edit(&mut rows, i);
            expect(i, &rows, seq, Tampering::Edited);
        }
        let mut rows = good.clone();
        rows[i].hash = None;
        expect(i, &rows, seq, Tampering::Unchained);

        let mut rows = good.clone();
        rows[i].seq += 5000;
        expect(i, &rows, seq, Tampering::Missing);

        let mut rows = good.clone();
        rows.remove(i);
        let what = if seq == ENTRIES { Tampering::CutOff } else { Tampering::Missing };
        expect(i, &rows, seq, what);
        // Closing the gap by renumbering is found at the next entry.
        rows[i..].iter_mut().for_each(|row| row.seq -= 1);
        expect(i, &rows, seq, if seq == ENTRIES { Tampering::CutOff } else { Tampering::Edited });

        let mut rows = good.clone();
        rows.insert(i + 1, rows[i].clone());
        expect(i, &rows, seq, Tampering::Repeated);

        // A forged entry with the right value for its place, and the entries after it renumbered.
        let mut rows = good.clone();
        rows.insert(i, row(seq));
        rows[i].details = "forged".into();
        let before = if i == 0 { CHAIN_START } else { good[i - 1].hash.unwrap() };
        rows[i].hash = Some(chain(app, &before, &rows[i]));
        rows[i + 1..].iter_mut().for_each(|row| row.seq += 1);
        expect(i, &rows, seq + 1, Tampering::Edited);

        if i + 1 < good.len() {
            let mut rows = good.clone();
            rows.swap(i, i + 1);
            expect(i, &rows, seq, Tampering::Missing);
            (rows[i].seq, rows[i + 1].seq) = (seq, seq + 1);
            expect(i, &rows, seq, Tampering::Edited);
        }
        expect(i, &good[..i], seq, Tampering::CutOff);
    }
    assert!(found > 20_000, "{found}");
}

#[test]
fn t96_what_was_rewritten_or_cut_off_with_its_head_is_found_by_an_anchor_kept_elsewhere() {
    let app = AppId::new(&SystemRandom);
    let good = log(app);
    let kept = end(&good);
    for i in (0..good.len()).step_by(37).chain([good.len() - 1]) {
        let mut rows = good.clone();
        rows[i].details = "rewritten".into();
        rechain(app, &mut rows, i);
        let own_head = end(&rows);
        assert!(walk(app, &rows, own_head, None).is_ok(), "the chain alone cannot show it");
        let expected = BadEntry { seq: ENTRIES, what: Tampering::NotAsKept };
        assert_eq!(walk(app, &rows, own_head, kept), Err(expected));

        let cut = &good[..i];
        assert!(walk(app, cut, end(cut), None).is_ok(), "the chain alone cannot show it");
        let expected = BadEntry { seq: good[i].seq, what: Tampering::CutOff };
        assert_eq!(walk(app, cut, end(cut), kept), Err(expected));
    }
}

#[test]
fn t96_a_head_that_does_not_fit_is_found() {
    let app = AppId::new(&SystemRandom);
    let good = log(app);
    let bad = |seq, what| Err(BadEntry { seq, what });
    let other = Some(Anchor { seq: ENTRIES, hash: [7; 32] });
    assert_eq!(walk(app, &good, other, None), bad(ENTRIES, Tampering::NotTheHead));
    assert_eq!(walk(app, &good, end(&good[..990]), None), bad(991, Tampering::AfterTheHead));
    assert_eq!(walk(app, &good, None, None), bad(1, Tampering::AfterTheHead));
    assert_eq!(walk(app, &[], end(&good), None), bad(1, Tampering::CutOff));
    assert_eq!(walk(app, &[], None, None), Ok(Anchor::START));
    assert_eq!(walk(AppId::new(&SystemRandom), &good, end(&good), None), bad(1, Tampering::Edited));
}

/// Twenty rows of which the first ten are older than the chain, which begins at `start`.
fn half_chained(app: AppId, start: Hash) -> Vec<AuditRow> {
    let mut rows: Vec<_> = (1..=20).map(row).collect();
    rows[10].hash = Some(chain(app, &start, &rows[10]));
    rechain(app, &mut rows, 11);
    rows
}

fn judge(app: AppId, rows: &[AuditRow], chained_after: i64) -> Result<AuditChecked, BadEntry> {
    let mut walk = ChainWalk::new(app, Anchor::START, chained_after);
    rows.iter().try_for_each(|row| walk.feed(row))?;
    walk.finish(end(rows))
}

#[test]
fn t96_where_the_chain_begins_stands_in_its_first_value() {
    let app = AppId::new(&SystemRandom);
    let head = AuditHead { seq: 10, hash: CHAIN_START, chained_after: 10 };
    let rows = half_chained(app, head.before_next());
    let good = judge(app, &rows, 10).unwrap();
    assert_eq!((good.checked, good.unchained, good.is_whole()), (10, 10, false));
    let bad = |seq, what| Err(BadEntry { seq, what });
    assert_eq!(judge(app, &rows, 15), bad(11, Tampering::BeforeTheChain), "the head was edited");
    assert_eq!(judge(app, &rows, 9), bad(10, Tampering::Unchained));
    let mut stripped = rows.clone();
    stripped[10..12].iter_mut().for_each(|row| row.hash = None);
    assert_eq!(judge(app, &stripped, 12), bad(13, Tampering::Edited));
    let elsewhere = half_chained(app, chain_start(9));
    assert_eq!(judge(app, &elsewhere, 10), bad(11, Tampering::Edited));
    let early_build = half_chained(app, CHAIN_START);
    assert_eq!(judge(app, &early_build, 10).map(|good| good.checked), Ok(10));
    let later = AuditHead { seq: 12, hash: [7; 32], chained_after: 10 };
    assert_eq!((later.before_next(), chain_start(0)), ([7; 32], CHAIN_START));
}

#[test]
fn t96_entries_without_a_value_are_counted_and_are_not_good() {
    let app = AppId::new(&SystemRandom);
    let mut rows = log(app);
    rows.truncate(20);
    let whole = judge(app, &rows, 0).unwrap();
    assert_eq!((whole.checked, whole.unchained, whole.is_whole()), (20, 0, true));
    rows.iter_mut().for_each(|row| row.hash = None);
    rows[4].details = "forged".into();
    let stripped = judge(app, &rows, 20).unwrap();
    assert_eq!((stripped.checked, stripped.unchained, stripped.is_whole()), (0, 20, false));
    assert!(!judge(app, &[], 0).unwrap().is_whole(), "of no entry, none was checked");
}

#[test]
fn an_anchor_reads_back_from_its_text_and_from_nothing_else() {
    let anchor = Anchor { seq: 42, hash: [0xab; 32] };
    assert_eq!(Anchor::parse(&anchor.to_string()), Some(anchor));
    for bad in ["", "42", "42:", ":", "x:00", &format!("-1:{}", "ab".repeat(32)), "42:abab"] {
        assert_eq!(Anchor::parse(bad), None, "{bad}");
    }
}

/// Not an assertion: machines differ. `cargo test -p alter-core --release measured -- --nocapture`.
#[test]
fn the_speed_of_the_walk_is_measured() {
    let app = AppId::new(&SystemRandom);
    let rows = log(app);
    let started = std::time::Instant::now();
    let rounds = 20;
    for _ in 0..rounds {
        walk(app, &rows, end(&rows), None).expect("it is good");
    }
    let per_second = rounds as f64 * ENTRIES as f64 / started.elapsed().as_secs_f64();
    println!("audit chain: {per_second:.0} entries/s");
}
