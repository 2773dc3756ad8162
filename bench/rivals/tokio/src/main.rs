//! Tokio in the workloads of bench/yield.c, spawn.c, forkjoin.c, sleep.c, sync.c, chan.c, depth.c. Rows,
//! options and lines are those of bench/bench.h; bench/run says on which processors the process may run.
//! One worker is the current-thread runtime, which is the faster one.

mod chans;
mod depth;
mod locks;
mod measure;
mod sleep;
mod spawn;
mod tree;
mod yields;

use measure::{check, figure, Row};
use std::future::Future;

const NO_FIGURE: f64 = -1.0;

/// Runs `body` as a task on a worker, not on the thread that waits for it.
fn on_runtime<F>(workers: usize, body: F) -> f64
where
    F: Future<Output = f64> + Send + 'static,
{
    let runtime = if workers < 2 {
        tokio::runtime::Builder::new_current_thread().enable_time().build()
    } else {
        tokio::runtime::Builder::new_multi_thread()
            .worker_threads(workers)
            .enable_time()
            .build()
    };
    let runtime = runtime.expect("a runtime");
    let value = runtime.block_on(async { tokio::spawn(body).await.expect("the task") });
    // A million sleeping tasks need not be taken apart one by one.
    runtime.shutdown_background();
    value
}

fn rows() -> Vec<Row> {
    let mut all = yields::rows();
    all.extend(spawn::rows());
    all.extend(tree::rows());
    all.extend(sleep::rows());
    all.extend(locks::rows());
    all.extend(chans::rows());
    all.extend(depth::rows());
    all
}

fn main() {
    let mut only = None;
    let mut samples = 1;
    let mut list = false;
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--row" => only = arguments.next(),
            "--samples" => samples = arguments.next().and_then(|s| s.parse().ok()).unwrap_or(1),
            "--list" => list = true,
            _ => check(false, "usage: [--list] [--row NAME] [--samples N]"),
        }
    }
    let mut matched = false;
    for row in rows() {
        if list {
            println!("{}", row.name);
        }
        if list || only.as_deref().map_or(false, |name| name != row.name) {
            continue;
        }
        matched = true;
        for _ in 0..samples {
            if !row.cold {
                measure::print(false);
                (row.run)(&row);
            }
            measure::print(true);
            let value = (row.run)(&row);
            if value != NO_FIGURE {
                figure(&row, "", value, row.unit);
            }
        }
    }
    if !matched && !list {
        std::process::exit(3);
    }
}
