//! Trees (bench/forkjoin.c). A recursive future has to be boxed.

use crate::measure::{check, figure, peak_megabytes, Row};
use crate::on_runtime;
use std::future::Future;
use std::pin::Pin;
use std::time::Instant;

type Boxed = Pin<Box<dyn Future<Output = usize> + Send>>;

fn fib(n: usize) -> Boxed {
    Box::pin(async move {
        if n < 2 {
            return n;
        }
        let one = tokio::spawn(fib(n - 1));
        let two = fib(n - 2).await;
        one.await.unwrap() + two
    })
}

fn skynet(number: usize, leaves: usize) -> Boxed {
    Box::pin(async move {
        if leaves == 1 {
            return number;
        }
        let size = leaves / 10;
        let mut children = Vec::with_capacity(10);
        for i in 0..10 {
            children.push(tokio::spawn(skynet(number + i * size, size)));
        }
        let mut sum = 0;
        for child in children {
            sum += child.await.unwrap();
        }
        sum
    })
}

fn run_fib(row: &Row) -> f64 {
    on_runtime(row.workers, async {
        let begin = Instant::now();
        check(fib(27).await == 196418, "fib(27)");
        begin.elapsed().as_nanos() as f64 / 1e6
    })
}

fn run_skynet(row: &Row) -> f64 {
    let copy = row.clone();
    on_runtime(row.workers, async move {
        let begin = Instant::now();
        check(skynet(0, 1000000).await == 499999500000, "skynet");
        let ms = begin.elapsed().as_nanos() as f64 / 1e6;
        figure(&copy, "peak memory", peak_megabytes(), "MB");
        ms
    })
}

pub fn rows() -> Vec<Row> {
    let row = |name, operations, workers, run| Row {
        name,
        run,
        operations,
        unit: "ms",
        n: 0,
        workers,
        cold: false,
    };
    vec![
        row("fib(27), one worker", 317810, 1, run_fib as fn(&Row) -> f64),
        row("fib(27), two workers", 317810, 2, run_fib),
        row("skynet, one worker", 1111111, 1, run_skynet),
        row("skynet, two workers", 1111111, 2, run_skynet),
    ]
}
