//! Suspending at the bottom of calls (bench/depth.c). A future that calls itself has to be boxed, and
//! every resume is a poll from the outermost one down.

use crate::measure::{check, Row};
use crate::on_runtime;
use std::future::Future;
use std::pin::Pin;
use std::time::Instant;

fn descend(depth: usize, yields: usize) -> Pin<Box<dyn Future<Output = usize> + Send>> {
    Box::pin(async move {
        if depth > 1 {
            return descend(depth - 1, yields).await + 1;
        }
        for _ in 0..yields {
            tokio::task::yield_now().await;
        }
        1
    })
}

async fn dive(depth: usize, trips: usize, yields: usize) {
    for _ in 0..trips {
        check(descend(depth, yields).await == depth, "depth");
    }
}

fn in_two(row: &Row, trips: usize, yields: usize) -> f64 {
    let (n, operations) = (row.n, row.operations);
    on_runtime(1, async move {
        let begin = Instant::now();
        let one = tokio::spawn(dive(n, trips, yields));
        let two = tokio::spawn(dive(n, trips, yields));
        one.await.unwrap();
        two.await.unwrap();
        begin.elapsed().as_nanos() as f64 / (2 * operations) as f64
    })
}

fn stay(row: &Row) -> f64 {
    in_two(row, 1, row.operations)
}

fn come_and_go(row: &Row) -> f64 {
    in_two(row, row.operations, 1)
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
        row("yield at the bottom of 1 call", 1, 500000, stay as fn(&Row) -> f64),
        row("yield at the bottom of 10 calls", 10, 500000, stay),
        row("yield at the bottom of 100 calls", 100, 100000, stay),
        row("1 call down, a yield, and back", 1, 500000, come_and_go),
        row("10 calls down, a yield, and back", 10, 200000, come_and_go),
        row("100 calls down, a yield, and back", 100, 20000, come_and_go),
    ]
}
