//! Locks (bench/sync.c): tokio::sync::Mutex, which may be held across an await.

use crate::measure::{check, Row};
use crate::on_runtime;
use std::arch::asm;
use std::sync::Arc;
use std::time::Instant;
use tokio::sync::Mutex;

fn uncontended(row: &Row) -> f64 {
    let n = row.n;
    on_runtime(1, async move {
        let mutex = Mutex::new(0);
        let begin = Instant::now();
        for _ in 0..n {
            *mutex.lock().await += 1;
        }
        let took = begin.elapsed().as_nanos() as f64 / n as f64;
        check(*mutex.lock().await == n, "count");
        took
    })
}

async fn lock_yield_unlock(mutex: Arc<Mutex<usize>>, n: usize) {
    for _ in 0..n {
        let mut count = mutex.lock().await;
        let before = *count;
        tokio::task::yield_now().await;
        *count = before + 1;
    }
}

fn work(n: usize) {
    for i in 0..n {
        unsafe { asm!("/* {0} */", in(reg) i) }; // somebody reads it
    }
}

async fn lock_work_unlock(mutex: Arc<Mutex<usize>>, n: usize) {
    for _ in 0..n {
        let mut count = mutex.lock().await;
        *count += 1;
        work(20);
        drop(count);
        work(20);
    }
}

fn four_contend(row: &Row) -> f64 {
    let n = row.n;
    on_runtime(1, async move {
        let mutex = Arc::new(Mutex::new(0));
        let begin = Instant::now();
        let tasks: Vec<_> = (0..4)
            .map(|_| tokio::spawn(lock_yield_unlock(mutex.clone(), n / 4)))
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
        let took = begin.elapsed().as_nanos() as f64 / n as f64;
        check(*mutex.lock().await == n, "count");
        took
    })
}

fn two_contend(row: &Row) -> f64 {
    let n = row.n;
    on_runtime(2, async move {
        let mutex = Arc::new(Mutex::new(0));
        let begin = Instant::now();
        let tasks: Vec<_> = (0..2)
            .map(|_| tokio::spawn(lock_work_unlock(mutex.clone(), n / 2)))
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
        let took = begin.elapsed().as_nanos() as f64 / n as f64;
        check(*mutex.lock().await == n, "count");
        took
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
        row("mutex, with a second thread", 5000000, 1, uncontended as fn(&Row) -> f64),
        row("mutex, four fibers contend", 400000, 1, four_contend),
        row("mutex, two workers contend", 1000000, 2, two_contend),
    ]
}
