//! Rows, the lines they print, clocks and memory: bench/bench.h for Rust.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

#[derive(Clone)]
pub struct Row {
    pub name: &'static str,
    pub run: fn(&Row) -> f64,
    pub operations: usize,
    pub unit: &'static str,
    pub n: usize,
    pub workers: usize,
    pub cold: bool,
}

static PRINTING: AtomicBool = AtomicBool::new(true);

/// Figures of a warm-up are not printed.
pub fn print(on: bool) {
    PRINTING.store(on, Relaxed);
}

pub fn figure(row: &Row, name: &str, value: f64, unit: &str) {
    if PRINTING.load(Relaxed) {
        println!("{}\t{}\t{:.9}\t{}\t0\t{}", row.name, name, value, unit, row.operations);
    }
}

pub fn note(row: &Row, text: &str) {
    if PRINTING.load(Relaxed) {
        println!("{}\tnote\t{}", row.name, text);
    }
}

pub fn check(ok: bool, what: &str) {
    if !ok {
        eprintln!("bench: wrong work: {}", what);
        std::process::exit(1);
    }
}

/// Turns of tasks: their sum is exact; Tokio promises no fairness, so a spread is a note.
pub fn fair(row: &Row, counts: &[usize], total: usize) {
    let least = counts.iter().min().unwrap();
    let most = counts.iter().max().unwrap();
    check(counts.iter().sum::<usize>() == total, "sum of turns");
    if most - least > 1 {
        note(row, &format!("unfair: turns of one task {} to {}", least, most));
    }
}

/// Nanoseconds of processor time of this process. schedstat counts the calling thread, and the rows that
/// ask have one.
pub fn cpu_seconds() -> f64 {
    let text = std::fs::read_to_string("/proc/self/schedstat").expect("schedstat");
    let ns: f64 = text.split(' ').next().unwrap().parse().unwrap();
    ns / 1e9
}

fn status_bytes(key: &str) -> f64 {
    let text = std::fs::read_to_string("/proc/self/status").expect("status");
    let line = text.lines().find(|l| l.starts_with(key)).expect("key");
    line.split_whitespace().nth(1).unwrap().parse::<f64>().unwrap() * 1024.0
}

/// Resident memory and page tables, in bytes.
pub fn memory() -> f64 {
    status_bytes("VmRSS:") + status_bytes("VmPTE:")
}

pub fn peak_megabytes() -> f64 {
    status_bytes("VmHWM:") / 1048576.0
}

pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }
}
