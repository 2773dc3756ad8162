//! Spawn and join (bench/spawn.c).

use crate::measure::{check, Row};
use crate::on_runtime;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::Arc;
use std::time::Instant;
use tokio::sync::Notify;

async fn nothing(i: usize) -> usize {
    i
}

fn one_by_one(row: &Row) -> f64 {
    let n = row.n;
    on_runtime(row.workers, async move {
        let begin = Instant::now();
        for i in 0..n {
            check(tokio::spawn(nothing(i)).await.unwrap() == i, "result");
        }
        begin.elapsed().as_nanos() as f64 / n as f64
    })
}

fn batch(row: &Row) -> f64 {
    let n = row.n;
    on_runtime(1, async move {
        let begin = Instant::now();
        let tasks: Vec<_> = (0..n).map(|i| tokio::spawn(nothing(i))).collect();
        for (i, task) in tasks.into_iter().enumerate() {
            check(task.await.unwrap() == i, "result");
        }
        begin.elapsed().as_nanos() as f64 / n as f64
    })
}

fn all_alive(row: &Row) -> f64 {
    let n = row.n;
    on_runtime(1, async move {
        let begin = Instant::now();
        let parked = Arc::new(AtomicUsize::new(0));
        let last = Arc::new(Notify::new());
        let go_on = Arc::new(Notify::new());
        let tasks: Vec<_> = (0..n)
            .map(|i| {
                let (parked, last, go_on) = (parked.clone(), last.clone(), go_on.clone());
                tokio::spawn(async move {
                    let woken = go_on.notified();
                    if parked.fetch_add(1, Relaxed) + 1 == n {
                        last.notify_one();
                    }
                    woken.await;
                    i
                })
            })
            .collect();
        last.notified().await;
        go_on.notify_waiters();
        for (i, task) in tasks.into_iter().enumerate() {
            check(task.await.unwrap() == i, "result");
        }
        begin.elapsed().as_nanos() as f64 / n as f64
    })
}

pub fn rows() -> Vec<Row> {
    let row = |name, n, workers, run| Row {
        name,
        run,
        operations: n,
        unit: "ns",
        n,
        workers,
        cold: false,
    };
    vec![
        row("one by one", 500000, 1, one_by_one as fn(&Row) -> f64),
        row("one by one, idle second worker", 500000, 2, one_by_one),
        row("batch of 100,000", 100000, 1, batch),
        row("100,000 alive, parked once", 100000, 1, all_alive),
    ]
}
