//! Compiles `proto/`: messages and typed doors to Rust, and the descriptors that reflection serves.
//!
//! - `usaged.ingest.v1` gets a client only: the server's door takes raw bytes (`src/grpc/ingest.rs`).
//! - In `usaged.drain.v1` the messages that carry a batch are written by hand (`src/grpc/carrier.rs`),
//!   with bytes in place of `Batch`. The derived ones go to `carrier/` beside them, for the test that
//!   compares the two on the wire.

use std::error::Error;
use std::path::{Path, PathBuf};

const FILES: [&str; 9] = [
    "usaged/ingest/v1/ingest.proto",
    "usaged/drain/v1/drain.proto",
    "usaged/admin/v1/admin.proto",
    "usaged/admin/v1/ledger.proto",
    "usaged/admin/v1/keys.proto",
    "usaged/admin/v1/erasure.proto",
    "usaged/admin/v1/binding.proto",
    "usaged/admin/v1/store.proto",
    "usaged/admin/v1/tokens.proto",
];

/// The codec that bounds what a message decodes to.
const CODEC: &str = "crate::grpc::codec::Bounded";

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=proto");
    let out = PathBuf::from(std::env::var_os("OUT_DIR").ok_or("OUT_DIR is not set")?);

    let mut compiler = protox::Compiler::new(["proto"])?;
    compiler.include_imports(true).include_source_info(true).open_files(FILES)?;
    std::fs::write(out.join("usaged.descriptors.bin"), compiler.encode_file_descriptor_set())?;
    let all = compiler.file_descriptor_set();

    let mut ingest = all.clone();
    ingest.file.retain(|file| !matches!(file.package(), "usaged.drain.v1" | "usaged.admin.v1"));
    tonic_prost_build::configure().build_server(false).codec_path(CODEC).compile_fds(ingest)?;

    let mut typed = all.clone();
    typed.file.retain(|file| file.package() != "usaged.ingest.v1");
    tonic_prost_build::configure()
        .codec_path(CODEC)
        .bytes(".usaged.admin.v1")
        .extern_path(".usaged.drain.v1.ReceivedBatch", "crate::grpc::carrier::ReceivedBatch")
        .extern_path(".usaged.drain.v1.DeadLetter", "crate::grpc::carrier::DeadLetter")
        .compile_fds(typed)?;

    derived_carriers(&out.join("carrier"), all)
}

fn derived_carriers(dir: &Path, mut all: tonic_prost_build::FileDescriptorSet) -> Result<(), Box<dyn Error>> {
    std::fs::create_dir_all(dir)?;
    all.file.retain(|file| matches!(file.package(), "usaged.drain.v1" | "google.protobuf"));
    prost_build::Config::new().out_dir(dir).compile_fds(all)?;
    Ok(())
}
