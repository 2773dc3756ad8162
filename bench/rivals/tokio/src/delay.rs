//! The five delayed requests (bench/delay.py, examples/delay_client.c).

use std::time::Instant;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

async fn ask(address: String, ms: u64, asked: Instant) -> std::io::Result<()> {
    let mut stream = TcpStream::connect(address).await?;
    let request = format!("GET /{}/waited-{} HTTP/1.0\r\n\r\n", ms, ms);
    stream.write_all(request.as_bytes()).await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    let body = answer.split("\r\n\r\n").nth(1).unwrap_or("no answer\n");
    print!("{:4} ms: {}", asked.elapsed().as_millis(), body);
    Ok(())
}

async fn ask_five(address: String, step: u64) {
    let tasks: Vec<_> = (1..=5)
        .rev()
        .map(|i| tokio::spawn(ask(address.clone(), i * step, Instant::now())))
        .collect();
    for task in tasks {
        task.await.expect("the task").expect("an answer");
    }
}

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let address = arguments[1].trim_start_matches("tcp:").to_string();
    let step = arguments[2].parse().expect("milliseconds");
    tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .build()
        .expect("a runtime")
        .block_on(ask_five(address, step));
}
