//! Streams of every provider, for every client: however they are cut, the same comes out.

use bytes::Bytes;
use tidegate_dialect::Dialect;
use tidegate_dialect::eventstream;
use tidegate_dialect::sse::{self, Ready};
use tidegate_dialect::stream::AnswerStream;

use crate::memory::bounded;
use crate::read::facts;
use crate::{SURFACES, targets};

/// Inputs up to this length are also fed byte by byte.
const SHORT: usize = 2048;

/// Where to cut, derived from the input: as good as random, and the same each time.
fn cuts(data: &[u8]) -> Vec<usize> {
    let mut state = data.iter().fold(0xcbf2_9ce4_8422_2325_u64, |state, byte| {
        (state ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    });
    let mut cuts: Vec<usize> = (0..6)
        .map(|_| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            usize::try_from(state >> 33).unwrap_or(0) % (data.len() + 1)
        })
        .collect();
    cuts.extend([0, data.len()]);
    cuts.sort_unstable();
    cuts
}

/// The input in pieces; the pieces together are the input.
fn pieces(data: &Bytes) -> Vec<Bytes> {
    cuts(data).windows(2).map(|pair| data.slice(pair[0]..pair[1])).collect()
}

fn bytes_of(data: &Bytes) -> Vec<Bytes> {
    (0..data.len()).map(|at| data.slice(at..=at)).collect()
}

/// What leaves a stream that is fed so, and what was seen of it.
fn run(surface: Dialect, target: Dialect, asked: bool, pieces: &[Bytes]) -> (Vec<u8>, String) {
    let mut stream = AnswerStream::new(
        surface,
        target,
        &tidegate_dialect::answer::AnswerFacts { asked_usage: asked, ..facts() },
    );
    let mut out = Vec::new();
    pieces.iter().for_each(|piece| stream.push(piece, &mut out));
    let end = stream.end(&mut out);
    (out.concat(), format!("{:?} {end:?}", stream.facts()))
}

fn cut_anywhere(surface: Dialect, target: Dialect, data: &Bytes) {
    for asked in [false, true] {
        let whole = run(surface, target, asked, std::slice::from_ref(data));
        assert!(
            run(surface, target, asked, &pieces(data)) == whole,
            "{surface:?} from {target:?}: depends on the cuts"
        );
    }
    if data.len() <= SHORT {
        let whole = run(surface, target, false, std::slice::from_ref(data));
        assert!(
            run(surface, target, false, &bytes_of(data)) == whole,
            "{surface:?} from {target:?}: byte by byte"
        );
    }
}

/// Streams of events in text, of every provider that has them.
pub fn streams(data: &[u8]) {
    let data = Bytes::copy_from_slice(data);
    bounded(data.len(), || {
        for target in targets().filter(|target| *target != Dialect::BedrockConverse) {
            SURFACES.into_iter().for_each(|surface| cut_anywhere(surface, target, &data));
        }
    });
}

/// Bedrock's frames: the input as they are, and lines of `name payload` with the checksums made for them, for
/// no fuzzer guesses a checksum.
pub fn frames(data: &[u8]) {
    let raw = Bytes::copy_from_slice(data);
    let mut made = Vec::new();
    for line in data.split(|byte| *byte == b'\n') {
        let (name, payload) = line.split_at(line.iter().position(|byte| *byte == b' ').unwrap_or(line.len()));
        let Ok(name) = std::str::from_utf8(name) else { continue };
        let (kind, name) =
            name.strip_prefix('!').map_or((":event-type", name), |name| (":exception-type", name));
        made.extend(eventstream::frame(&[(kind, name)], payload.get(1..).unwrap_or_default()));
    }
    let made = Bytes::from(made);
    bounded(data.len(), || {
        same_events(&raw, &mut eventstream::Reader::default(), eventstream::Reader::feed);
        cut_anywhere(Dialect::BedrockConverse, Dialect::BedrockConverse, &raw);
        SURFACES.into_iter().for_each(|surface| cut_anywhere(surface, Dialect::BedrockConverse, &made));
    });
}

/// The reader of `text/event-stream`: no byte lost, none invented, the same events.
pub fn sse(data: &[u8]) {
    let data = Bytes::copy_from_slice(data);
    bounded(data.len(), || {
        let mut reader = sse::Reader::default();
        let cut = same_events(&data, &mut reader, sse::Reader::feed);
        let last = reader.finish().map(|last| last.bytes).unwrap_or_default();
        assert!([cut, last.to_vec()].concat() == data, "bytes lost or invented");
    });
}

type Seen = Vec<(Vec<u8>, Vec<u8>)>;

fn seen(ready: &Ready, into: &mut Seen) {
    into.extend(ready.events().map(|event| (event.name().to_vec(), event.data().into_owned())));
}

/// The events of the input fed whole to a new reader, and in pieces to this one, are the same. Gives the bytes
/// of what came out in pieces.
fn same_events<R: Default>(data: &Bytes, reader: &mut R, feed: fn(&mut R, &Bytes) -> Ready) -> Vec<u8> {
    let (mut whole, mut cut, mut bytes) = (Vec::new(), Vec::new(), Vec::new());
    seen(&feed(&mut R::default(), data), &mut whole);
    for piece in pieces(data) {
        let ready = feed(reader, &piece);
        seen(&ready, &mut cut);
        bytes.extend_from_slice(&ready.bytes);
    }
    assert!(cut == whole, "other events when cut");
    bytes
}

/// What [`same_events`] must notice: a reader that gives whatever it is fed at once.
#[cfg(test)]
pub(crate) fn a_reader_that_depends_on_cuts() {
    let data = Bytes::from_static(b"data: 1\n\ndata: 2\n\ndata: 3\n\ndata: 4");
    same_events(&data, &mut (), |(), piece| {
        let mut reader = sse::Reader::default();
        let _ = reader.feed(piece);
        reader.finish().unwrap_or_default()
    });
}
