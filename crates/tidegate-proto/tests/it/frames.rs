//! What earlier releases said, as `proto/recorded` keeps it: a folder for each release, in it a file for each side of
//! each call, `service.call.number.side`, with that side's gRPC messages as they were sent (a byte that says whether
//! it is compressed, four with its length, the message).

use std::path::Path;

/// One side of one call.
pub(crate) struct Side {
    /// Of the release.
    pub(crate) release: String,
    /// `config.v1.ConfigService.Stream`.
    pub(crate) call: String,
    /// Said by the node, not by the control plane.
    pub(crate) is_node: bool,
    pub(crate) messages: Vec<Vec<u8>>,
}

/// Everything that was recorded.
pub(crate) fn recorded() -> Vec<Side> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../proto/recorded");
    let mut sides = Vec::new();
    for release in entries(&folder) {
        for file in entries(&folder.join(&release)) {
            let bytes = std::fs::read(folder.join(&release).join(&file)).unwrap();
            let (rest, side) = file.rsplit_once('.').unwrap();
            let (call, _) = rest.rsplit_once('.').unwrap();
            let (release, call, is_node) = (release.clone(), call.to_owned(), side == "node");
            sides.push(Side { release, call, is_node, messages: messages(&bytes) });
        }
    }
    assert!(sides.len() > 8, "recordings are there");
    sides
}

fn entries(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).unwrap();
    let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// The whole messages; a call that was broken off may end within one.
fn messages(mut bytes: &[u8]) -> Vec<Vec<u8>> {
    let mut found = Vec::new();
    while let Some((head, rest)) = bytes.split_first_chunk::<5>() {
        assert_eq!(head[0], 0, "compressed");
        let length = u32::from_be_bytes([head[1], head[2], head[3], head[4]]) as usize;
        let Some((message, rest)) = rest.split_at_checked(length) else { break };
        found.push(message.to_vec());
        bytes = rest;
    }
    found
}
