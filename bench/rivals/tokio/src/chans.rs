//! Channels (bench/chan.c): tokio::sync::mpsc. It has no channel without a buffer; one place is the
//! nearest to a meeting.

use crate::measure::{check, Row};
use crate::on_runtime;
use std::time::Instant;
use tokio::sync::mpsc;

fn meeting(row: &Row) -> f64 {
    let n = row.n;
    on_runtime(1, async move {
        let (there, mut other_end) = mpsc::channel::<usize>(1);
        let (other_back, mut back) = mpsc::channel::<usize>(1);
        let other = tokio::spawn(async move {
            while let Some(message) = other_end.recv().await {
                other_back.send(message + 1).await.unwrap();
            }
        });
        let begin = Instant::now();
        for i in 0..n {
            there.send(i).await.unwrap();
            check(back.recv().await == Some(i + 1), "answer");
        }
        let took = begin.elapsed().as_nanos() as f64 / n as f64;
        drop(there);
        other.await.unwrap();
        took
    })
}

fn buffered(row: &Row) -> f64 {
    let n = row.n;
    on_runtime(1, async move {
        let (there, mut end) = mpsc::channel::<usize>(64);
        let begin = Instant::now();
        let other = tokio::spawn(async move {
            for i in 0..n {
                there.send(i).await.unwrap();
            }
        });
        for i in 0..n {
            check(end.recv().await == Some(i), "order");
        }
        let took = begin.elapsed().as_nanos() as f64 / n as f64;
        other.await.unwrap();
        took
    })
}

/// Of two channels, one of which stays silent.
fn choose(row: &Row, places: usize) -> f64 {
    let n = row.n;
    on_runtime(1, async move {
        let (there, mut end) = mpsc::channel::<usize>(places);
        let (_silence, mut silent) = mpsc::channel::<usize>(1);
        let begin = Instant::now();
        let other = tokio::spawn(async move {
            for i in 0..n {
                there.send(i).await.unwrap();
            }
        });
        for i in 0..n {
            tokio::select! {
                _ = silent.recv() => check(false, "silence"),
                message = end.recv() => check(message == Some(i), "order"),
            }
        }
        let took = begin.elapsed().as_nanos() as f64 / n as f64;
        other.await.unwrap();
        took
    })
}

fn choose_meeting(row: &Row) -> f64 {
    choose(row, 1)
}

fn choose_buffered(row: &Row) -> f64 {
    choose(row, 64)
}

fn pipeline(row: &Row) -> f64 {
    let (stages, messages) = (row.n, row.operations / row.n);
    let operations = row.operations;
    on_runtime(1, async move {
        let begin = Instant::now();
        let (first, mut end) = mpsc::channel::<usize>(1);
        for _ in 0..stages {
            let (to, next) = mpsc::channel::<usize>(1);
            let mut from = std::mem::replace(&mut end, next);
            tokio::spawn(async move {
                while let Some(message) = from.recv().await {
                    to.send(message + 1).await.unwrap();
                }
            });
        }
        tokio::spawn(async move {
            for i in 0..messages {
                first.send(i).await.unwrap();
            }
        });
        for i in 0..messages {
            check(end.recv().await == Some(i + stages), "stages");
        }
        begin.elapsed().as_nanos() as f64 / operations as f64
    })
}

pub fn rows() -> Vec<Row> {
    let row = |name, n, run| Row {
        name,
        run,
        operations: n,
        unit: "ns",
        n,
        workers: 1,
        cold: false,
    };
    let chain = |name, n| Row {
        name,
        run: pipeline as fn(&Row) -> f64,
        operations: 500000,
        unit: "ns",
        n,
        workers: 1,
        cold: false,
    };
    vec![
        chain("pipeline of 10 stages, with a second thread", 10),
        chain("pipeline of 100 stages, with a second thread", 100),
        chain("pipeline of 1,000 stages, with a second thread", 1000),
        row(
            "rendezvous round trip, with a second thread",
            500000,
            meeting as fn(&Row) -> f64,
        ),
        row("buffered message, with a second thread", 2000000, buffered),
        row("select of two meetings, with a second thread", 500000, choose_meeting),
        row("select of two, buffered, with a second thread", 500000, choose_buffered),
    ]
}
