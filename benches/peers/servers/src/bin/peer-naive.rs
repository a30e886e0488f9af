//! The least that can answer: a fixed response over monoio, as soon as a head and its announced
//! body are there. It looks at no method, no path and no field but Content-Length, so that what it
//! costs is the kernel, the executor and, in S1, rustls. It is a floor and not a server.

use std::io;

use httparse::{EMPTY_HEADER, Request, Status};
use monoio::buf::IoBufMut as _;
use monoio::io::{AsyncReadRent, AsyncWriteRent, AsyncWriteRentExt as _};
use monoio::net::TcpListener;
use monoio::{IoUringDriver, RuntimeBuilder};
use monoio_rustls::TlsAcceptor;
use peers::Settings;

/// Room for a head with its body; a larger request is not answered.
const BUFFER_BYTES: usize = 16 * 1024;

fn main() {
    let settings = Settings::from_arguments();
    let mut ring = io_uring::IoUring::builder();
    ring.setup_coop_taskrun().setup_single_issuer();
    let runtime =
        RuntimeBuilder::<IoUringDriver>::new().with_entries(4096).uring_builder(ring).build();
    let mut runtime = runtime.expect("io_uring can be used");
    runtime.block_on(serve(&settings));
}

async fn serve(settings: &Settings) {
    let response: &'static str = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{}",
        settings.answer.len(),
        settings.answer
    )
    .leak();
    let listener = TcpListener::bind(settings.listen).expect("the port is free");
    let tls = settings.tls().map(TlsAcceptor::from);
    loop {
        let Ok((stream, _)) = listener.accept().await else { continue };
        let _ = stream.set_nodelay(true);
        let tls = tls.clone();
        monoio::spawn(async move {
            let _ = match tls {
                None => talk(stream, response.as_bytes()).await,
                Some(tls) => match tls.accept(stream).await {
                    Ok(stream) => talk(stream, response.as_bytes()).await,
                    Err(_) => Ok(()),
                },
            };
        });
    }
}

async fn talk(
    mut stream: impl AsyncReadRent + AsyncWriteRent,
    response: &'static [u8],
) -> io::Result<()> {
    let mut buffer: Vec<u8> = Vec::with_capacity(BUFFER_BYTES);
    let mut answers: Vec<u8> = Vec::with_capacity(BUFFER_BYTES);
    loop {
        let start = buffer.len();
        let (read, slice) = stream.read(buffer.slice_mut(start..BUFFER_BYTES)).await;
        buffer = slice.into_inner();
        if read? == 0 {
            return Ok(());
        }
        let mut used = 0;
        while let Some(length) = request_bytes(&buffer[used..])? {
            used += length;
            answers.extend_from_slice(response);
        }
        buffer.drain(..used);
        if !answers.is_empty() {
            let (written, vec) = stream.write_all(answers).await;
            written?;
            answers = vec;
            answers.clear();
        }
    }
}

/// The length of the first whole request, with its body.
fn request_bytes(bytes: &[u8]) -> io::Result<Option<usize>> {
    let mut fields = [EMPTY_HEADER; 16];
    let mut request = Request::new(&mut fields);
    let parsed = request.parse(bytes).map_err(|_| io::ErrorKind::InvalidData)?;
    let Status::Complete(head) = parsed else { return Ok(None) };
    let length = request.headers.iter().find(|f| f.name.eq_ignore_ascii_case("content-length"));
    let body = match length.map(|field| std::str::from_utf8(field.value)) {
        None => 0,
        Some(text) => text.ok().and_then(|t| t.parse().ok()).ok_or(io::ErrorKind::InvalidData)?,
    };
    Ok((bytes.len() >= head + body).then_some(head + body))
}
