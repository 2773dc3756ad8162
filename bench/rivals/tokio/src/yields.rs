//! Yield (bench/yield.c). The counters are plain loads and stores, as in the other programs: one
//! thread.

use crate::measure::{fair, Row};
use crate::on_runtime;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::sync::Mutex;
use std::time::Instant;

static TURNS: AtomicUsize = AtomicUsize::new(0);
static NEXT_MARK: AtomicUsize = AtomicUsize::new(0);
static END_AT: AtomicUsize = AtomicUsize::new(0);
static OVER: AtomicBool = AtomicBool::new(false);
static CLOCK: Mutex<Option<(Instant, Option<Instant>)>> = Mutex::new(None);

#[inline(never)]
fn mark() {
    let mut clock = CLOCK.lock().unwrap();
    if TURNS.load(Relaxed) == END_AT.load(Relaxed) {
        clock.as_mut().unwrap().1 = Some(Instant::now());
        OVER.store(true, Relaxed);
        return;
    }
    NEXT_MARK.store(END_AT.load(Relaxed), Relaxed);
    *clock = Some((Instant::now(), None));
}

async fn turn() -> usize {
    let mut mine = 0;
    while !OVER.load(Relaxed) {
        mine += 1;
        let turns = TURNS.load(Relaxed) + 1;
        TURNS.store(turns, Relaxed);
        if turns == NEXT_MARK.load(Relaxed) {
            mark();
        }
        tokio::task::yield_now().await;
    }
    mine
}

async fn other_turn() -> usize {
    let mut mine = 0;
    while !OVER.load(Relaxed) {
        mine += 1;
        let turns = TURNS.load(Relaxed) + 1;
        TURNS.store(turns, Relaxed);
        if turns == NEXT_MARK.load(Relaxed) {
            mark();
        }
        tokio::task::yield_now().await;
    }
    mine + 0
}

fn ring(row: &Row, two_callers: bool) -> f64 {
    let row = row.clone();
    let warm = row.operations / 4;
    TURNS.store(0, Relaxed);
    NEXT_MARK.store(warm, Relaxed);
    END_AT.store(warm + row.operations, Relaxed);
    OVER.store(false, Relaxed);
    on_runtime(1, async move {
        let tasks: Vec<_> = (0..row.n)
            .map(|i| {
                if two_callers && i & 1 == 1 {
                    tokio::spawn(other_turn())
                } else {
                    tokio::spawn(turn())
                }
            })
            .collect();
        let mut counts = Vec::with_capacity(row.n);
        for task in tasks {
            counts.push(task.await.unwrap());
        }
        fair(&row, &counts, TURNS.load(Relaxed));
        let (begin, end) = CLOCK.lock().unwrap().unwrap();
        (end.unwrap() - begin).as_nanos() as f64 / row.operations as f64
    })
}

fn yields(row: &Row) -> f64 {
    ring(row, false)
}

fn two_callers(row: &Row) -> f64 {
    ring(row, true)
}

pub fn rows() -> Vec<Row> {
    let row = |name, n, operations, run| Row {
        name,
        run,
        operations,
        unit: "ns",
        n,
        workers: 1,
        cold: false,
    };
    vec![
        row("2 fibers", 2, 2000000, yields as fn(&Row) -> f64),
        row("2 fibers, two callers", 2, 2000000, two_callers),
        row("100 fibers", 100, 2000000, yields),
        row("10,000 fibers", 10000, 2000000, yields),
        row("100,000 fibers", 100000, 1000000, yields),
        row("1,000,000 fibers", 1000000, 4000000, yields),
    ]
}
