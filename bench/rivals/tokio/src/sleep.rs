//! Sleeping tasks and timers (bench/sleep.c). Its timers have a resolution of a millisecond.

use crate::measure::{check, cpu_seconds, figure, memory, Random, Row};
use crate::{on_runtime, NO_FIGURE};
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};
use tokio::time::sleep;

const HOUR: Duration = Duration::from_secs(3600);

async fn put_to_sleep(n: usize) {
    let asleep = Arc::new(AtomicUsize::new(0));
    for _ in 0..n {
        let asleep = asleep.clone();
        tokio::spawn(async move {
            asleep.fetch_add(1, Relaxed);
            sleep(HOUR).await;
        });
    }
    while asleep.load(Relaxed) < n {
        tokio::task::yield_now().await;
    }
}

fn parked_memory(row: &Row) -> f64 {
    let row = row.clone();
    on_runtime(1, async move {
        let before = memory();
        put_to_sleep(row.n).await;
        figure(&row, "", (memory() - before) / row.n as f64, "bytes");
        NO_FIGURE
    })
}

fn random_sleeps(row: &Row) -> f64 {
    let n = row.n;
    let begin = cpu_seconds();
    on_runtime(1, async move {
        let mut random = Random(1);
        let tasks: Vec<_> = (0..n)
            .map(|_| {
                let time = Duration::from_nanos(random.next() % 1000000000);
                tokio::spawn(async move {
                    let begin = Instant::now();
                    sleep(time).await;
                    check(begin.elapsed() >= time, "slept too short");
                })
            })
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
        NO_FIGURE
    });
    cpu_seconds() - begin
}

/// Polls once: the timer is armed then.
struct Arm<'a, F>(Pin<&'a mut F>);

impl<F: Future<Output = ()>> Future for Arm<'_, F> {
    type Output = ();
    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        check(self.0.as_mut().poll(context).is_pending(), "armed");
        Poll::Ready(())
    }
}

async fn arm_often(operations: usize, mut time: impl FnMut() -> Duration) -> f64 {
    let begin = Instant::now();
    for _ in 0..operations {
        let timer = sleep(time());
        tokio::pin!(timer);
        Arm(timer.as_mut()).await;
    }
    begin.elapsed().as_nanos() as f64 / operations as f64
}

fn arm_and_cancel(row: &Row) -> f64 {
    let row = row.clone();
    on_runtime(1, async move {
        put_to_sleep(row.n).await;
        let same = arm_often(row.operations, || Duration::from_secs(30)).await;
        figure(&row, "same timeout", same, "ns");
        let mut random = Random(7);
        let time = || Duration::from_nanos(random.next() % 1000000000000 + 1000000000);
        figure(&row, "random deadlines", arm_often(row.operations, time).await, "ns");
        NO_FIGURE
    })
}

pub fn rows() -> Vec<Row> {
    let row = |name, n, unit, run| Row {
        name,
        run,
        operations: n,
        unit,
        n,
        workers: 1,
        cold: true,
    };
    vec![
        row("10,000 parked", 10000, "bytes", parked_memory as fn(&Row) -> f64),
        row("100,000 parked", 100000, "bytes", parked_memory),
        row("1,000,000 parked", 1000000, "bytes", parked_memory),
        row("100,000 random sleeps", 100000, "s", random_sleeps),
        row("1,000,000 random sleeps", 1000000, "s", random_sleeps),
        row("arm and cancel beside 1,000,000", 1000000, "ns", arm_and_cancel),
    ]
}
