//! What lies in the account of whoever signs in: files, buckets, kept answers, indexes. Over the
//! operator's credential such a name reaches the operator's things, or another tenant's.
//!
//! Looks at the outgoing body, in any dialect, so that no translation leads around it. Knows nothing
//! of who signs in. Sources: the providers' API references, read November 2026.

use memchr::memmem;

use crate::RequestError;
use crate::json::{Kind, Value};
use crate::read::Path;

/// Why stored things are refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stored {
    /// They would be those of the gateway's operator.
    Operators,
    /// Nothing may be kept at providers.
    Forbidden,
}

impl Stored {
    const fn why(self) -> &'static str {
        match self {
            Self::Operators => {
                "it names something kept in the account of the gateway's operator; send the content along, \
                 or use a credential of your own"
            }
            Self::Forbidden => {
                "it names something kept by the provider, and zero data retention is demanded; send the \
                 content along"
            }
        }
    }
}

/// Without one of these nothing is named, and nothing needs to be walked. Escapes may hide any, and schemes and hosts
/// may be in letters of either size. Each with the place of the pair of bytes in it that is rarest in prompts.
const HINTS: [(&[u8], usize); 19] = [
    (b"\\u00", 0),
    (b"file", 0),
    (b"File", 0),
    (b"FILE", 0),
    (b":/", 0),
    (b":\\/", 0),
    (b"s3", 0),
    (b"S3", 0),
    (b"gs:", 1),
    (b"GS:", 1),
    (b"ached", 0),
    (b"\"previous", 0),
    (b"ontainer", 3),
    (b"\"conversation\"", 3),
    (b"_reference\"", 0),
    (b"ector", 1),
    (b"ertex", 3),
    (b"kill", 0),
    (b"\"id\"", 0),
];

/// For each byte the hints, one bit each, whose rarest pair begins with it, and those whose pair ends with it.
static BEGUN: [u32; 256] = hints_with(0);
static ENDED: [u32; 256] = hints_with(1);

const fn hints_with(part: usize) -> [u32; 256] {
    let mut hints = [0; 256];
    let mut hint = 0;
    while hint < HINTS.len() {
        let (word, pair) = HINTS[hint];
        hints[word[pair + part] as usize] |= 1 << hint;
        hint += 1;
    }
    hints
}

/// From this length on one fast search after the other is faster than one look at each byte.
const LONG: usize = 16 * 1024;

/// Members that name a stored thing whatever they hold; without underscores, in small letters.
const NAMES: [&str; 16] = [
    "fileid",
    "fileids",
    "vectorstoreids",
    "previousresponseid",
    "conversation",
    "cachedcontent",
    "s3location",
    "container",
    "containerid",
    "filesearchstorenames",
    "vertexaisearch",
    "vertexragstore",
    "gcsdestination",
    "gcssource",
    "containerreference",
    "skillid",
];

/// Members that hold what the client or a model made up: schemas, arguments, results, labels.
const FREE: [&str; 17] = [
    "parameters",
    "parameterdefinitions",
    "parametersjsonschema",
    "inputschema",
    "outputschema",
    "schema",
    "responseschema",
    "responsejsonschema",
    "jsonschema",
    "args",
    "arguments",
    "response",
    "json",
    "data",
    "metadata",
    "requestmetadata",
    "labels",
];

/// Refuses a body that names something stored in the account that signs in. A body that is no JSON
/// carries its content itself.
///
/// # Errors
/// [`RequestError::Untranslatable`] naming the first such field.
pub fn refuse_stored(body: &[u8], why: Stored) -> Result<(), RequestError> {
    if !is_hinted(body) {
        return Ok(());
    }
    let Ok(root) = Value::parse(body) else { return Ok(()) };
    walk(&root, Path::Root).map_err(|field| RequestError::Untranslatable { field, why: why.why() })
}

fn is_hinted(body: &[u8]) -> bool {
    if body.len() >= LONG {
        return HINTS.iter().any(|(hint, _)| memmem::find(body, hint).is_some());
    }
    let hints_at = |[one, next]: &[u8; 2]| BEGUN[usize::from(*one)] & ENDED[usize::from(*next)];
    let mut from = 0;
    while let Some(rest) = body.get(from..)
        && let Some(next) = rest.array_windows().position(|pair| hints_at(pair) != 0)
    {
        let at = from + next;
        let mut left = rest.get(next..).and_then(<[u8]>::first_chunk).map_or(0, hints_at);
        while left != 0 {
            let (hint, pair) = HINTS[left.trailing_zeros() as usize];
            let start = at.checked_sub(pair).and_then(|start| body.get(start..));
            if start.is_some_and(|rest| rest.starts_with(hint)) {
                return true;
            }
            left &= left - 1;
        }
        from = at + 1;
    }
    false
}

/// The path of the first stored thing, as an error.
fn walk(value: &Value<'_>, path: Path<'_>) -> Result<(), String> {
    match value.kind() {
        Kind::Array => value.elements().enumerate().try_for_each(|(at, one)| walk(&one, path.index(at))),
        Kind::Object => object(value, path),
        _ => Ok(()),
    }
}

fn object(value: &Value<'_>, path: Path<'_>) -> Result<(), String> {
    if is_reference(value) {
        return Err(path.key("id").to_string());
    }
    for member in value.members().filter(|member| !member.value.is_null()) {
        let name: String = member.key.chars().filter(|c| *c != '_').map(|c| c.to_ascii_lowercase()).collect();
        let at = path.key(&member.key);
        // Arguments of an earlier call of a tool; at the top it is what is asked.
        let free = FREE.contains(&&*name) || (name == "input" && !matches!(path, Path::Root));
        if free && member.value.kind() != Kind::Text {
            continue;
        }
        if names_stored(&name, &member.value, value) {
            return Err(at.to_string());
        }
        walk(&member.value, at)?;
    }
    Ok(())
}

/// Whether a member names something stored.
fn names_stored(name: &str, value: &Value<'_>, owner: &Value<'_>) -> bool {
    match name {
        // `{type: "auto", …}` is a new one; its further members are looked at.
        "container" => value.kind() == Kind::Text || has_id(value),
        "skillid" => type_of(owner).is_none_or(|kind| kind != "anthropic"),
        "prompt" | "audio" | "voice" => has_id(value),
        "fileuri" => value.text().is_none_or(|address| is_kept(&address) || !is_web(&address)),
        _ if NAMES.contains(&name) => !is_empty(value),
        _ if name.ends_with("uri") || name.ends_with("url") => {
            value.text().is_some_and(|address| is_kept(&address))
        }
        _ if name.ends_with("uris") || name.ends_with("urls") => {
            value.elements().any(|one| one.text().is_some_and(|address| is_kept(&address)))
        }
        _ => false,
    }
}

/// An item of an earlier answer by its name alone (OpenAI's responses; the type may be absent), or
/// a reference to a skill.
fn is_reference(value: &Value<'_>) -> bool {
    match type_of(value).as_deref() {
        Some("item_reference" | "skill_reference" | "container_reference") => true,
        Some(_) => false,
        None => {
            let mut members = value.members().filter(|member| !member.value.is_null());
            members.next().is_some_and(|one| one.key == "id" && one.value.kind() == Kind::Text)
                && members.next().is_none()
        }
    }
}

fn type_of<'v>(value: &Value<'v>) -> Option<std::borrow::Cow<'v, str>> {
    value.get("type")?.text()
}

fn has_id(value: &Value<'_>) -> bool {
    value.get("id").is_some_and(|id| !id.is_null())
}

fn is_empty(value: &Value<'_>) -> bool {
    value.kind() == Kind::Array && value.elements().next().is_none()
}

fn scheme(address: &str) -> String {
    address.trim_start().chars().take(8).collect::<String>().to_ascii_lowercase()
}

fn is_web(address: &str) -> bool {
    let scheme = scheme(address);
    scheme.starts_with("https://") || scheme.starts_with("http://")
}

/// Whether an address is read with the rights of who signs in.
fn is_kept(address: &str) -> bool {
    let scheme = scheme(address);
    if ["s3:", "gs:", "file:", "files/"].iter().any(|known| scheme.starts_with(known)) {
        return true;
    }
    let rest = address.trim_start().split_once("//").map_or("", |(_, rest)| rest);
    let authority = rest.split(['/', '\\', '?', '#']).next().unwrap_or_default();
    let host = authority.rsplit('@').next().unwrap_or_default();
    let host = host.split(':').next().unwrap_or_default().trim_end_matches('.').to_ascii_lowercase();
    let google = ["googleapis.com", "storage.cloud.google.com"];
    google
        .iter()
        .any(|known| host.strip_suffix(known).is_some_and(|left| left.is_empty() || left.ends_with('.')))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(body: &str) -> Option<String> {
        refuse_stored(body.as_bytes(), Stored::Operators)
            .err()
            .and_then(|error| error.path().map(str::to_owned))
    }

    /// Bodies, and what of them is refused.
    const STORED: &[(&str, &str)] = &[
        (
            r#"{"messages":[{"content":[{"image":{"format":"png","source":{"s3Location":{"uri":"s3://b/k"}}}}]}]}"#,
            "messages[0].content[0].image.source.s3Location",
        ),
        (
            r#"{"messages":[{"content":[{"toolResult":{"content":[{"video":{"source":{"s3Location":{"uri":"s3://b/k"}}}}]}}]}]}"#,
            "messages[0].content[0].toolResult.content[0].video.source.s3Location",
        ),
        (
            r#"{"contents":[{"parts":[{"fileData":{"fileUri":"gs://b/k"}}]}]}"#,
            "contents[0].parts[0].fileData.fileUri",
        ),
        (
            r#"{"contents":[{"parts":[{"file_data":{"file_uri":"https://generativelanguage.googleapis.com/v1beta/files/x"}}]}]}"#,
            "contents[0].parts[0].file_data.file_uri",
        ),
        (
            r#"{"contents":[{"parts":[{"fileData":{"fileUri":"files/x"}}]}]}"#,
            "contents[0].parts[0].fileData.fileUri",
        ),
        (
            r#"{"contents":[{"parts":[{"functionResponse":{"name":"f","response":{},"parts":[{"fileData":{"fileUri":"gs://b"}}]}}]}]}"#,
            "contents[0].parts[0].functionResponse.parts[0].fileData.fileUri",
        ),
        (r#"{"cachedContent":"cachedContents/1"}"#, "cachedContent"),
        (r#"{"cached_content":"cachedContents/1"}"#, "cached_content"),
        (
            r#"{"tools":[{"retrieval":{"vertexRagStore":{"ragCorpora":["x"]}}}]}"#,
            "tools[0].retrieval.vertexRagStore",
        ),
        (
            r#"{"tools":[{"fileSearch":{"fileSearchStoreNames":["x"]}}]}"#,
            "tools[0].fileSearch.fileSearchStoreNames",
        ),
        (r#"{"instances":[{"image":{"gcsUri":"gs://b/k"}}],"parameters":{}}"#, "instances[0].image.gcsUri"),
        (
            r#"{"messages":[{"content":[{"type":"file","file":{"file_id":"file-1"}}]}]}"#,
            "messages[0].content[0].file.file_id",
        ),
        (
            r#"{"messages":[{"content":[{"type":"file","file":{"f\u0069le_id":"file-1"}}]}]}"#,
            "messages[0].content[0].file.file_id",
        ),
        (r#"{"messages":[{"role":"assistant","audio":{"id":"audio_1"}}]}"#, "messages[0].audio"),
        (
            r#"{"messages":[{"content":[{"type":"image_url","image_url":{"url":"GS://b/k"}}]}]}"#,
            "messages[0].content[0].image_url.url",
        ),
        (
            r#"{"messages":[{"content":[{"type":"image_url","image_url":{"url":"file:///etc/passwd"}}]}]}"#,
            "messages[0].content[0].image_url.url",
        ),
        (
            r#"{"input":[{"type":"message","content":[{"type":"input_image","file_id":"f"}]}]}"#,
            "input[0].content[0].file_id",
        ),
        (r#"{"input":[{"type":"item_reference","id":"msg_1"}]}"#, "input[0].id"),
        (r#"{"input":[{"id":"msg_1","type":null}]}"#, "input[0].id"),
        (r#"{"previous_response_id":"resp_1"}"#, "previous_response_id"),
        (r#"{"conversation":{"id":"conv_1"}}"#, "conversation"),
        (r#"{"prompt":{"id":"pmpt_1"}}"#, "prompt"),
        (r#"{"tools":[{"type":"file_search","vector_store_ids":["vs"]}]}"#, "tools[0].vector_store_ids"),
        (
            r#"{"tools":[{"type":"code_interpreter","container":{"type":"auto","file_ids":["f"]}}]}"#,
            "tools[0].container.file_ids",
        ),
        (r#"{"tools":[{"type":"code_interpreter","container":"cntr_1"}]}"#, "tools[0].container"),
        (
            r#"{"messages":[{"content":[{"type":"document","source":{"type":"file","file_id":"f"}}]}]}"#,
            "messages[0].content[0].source.file_id",
        ),
        (
            r#"{"messages":[{"content":[{"type":"container_upload","file_id":"f"}]}]}"#,
            "messages[0].content[0].file_id",
        ),
        (r#"{"container":{"skills":[{"type":"custom","skill_id":"s"}]}}"#, "container.skills[0].skill_id"),
        (r#"{"image_url":{"url":"https://storage.googleapis.com/b/k"}}"#, "image_url.url"),
        (r#"{"image_url":{"url":"https:\/\/Storage.GoogleAPIs.com/b/k"}}"#, "image_url.url"),
        (r#"{"url":"Gs://b/k"}"#, "url"),
        (r#"{"url":"FILE:///k"}"#, "url"),
    ];

    #[test]
    fn hints_are_found_in_short_and_long_bodies() {
        for (hint, _) in HINTS {
            for fill in ["", "x", "ooo\"\"\"ppprrreee"] {
                let short = [fill.as_bytes(), hint, fill.as_bytes()].concat();
                let long = [&b".".repeat(LONG)[..], hint].concat();
                assert!(is_hinted(&short) && is_hinted(&long), "{}", String::from_utf8_lossy(hint));
                assert!(!is_hinted(&short[..fill.len() + hint.len() - 1]));
            }
        }
        assert!(!is_hinted(&b".".repeat(LONG)));
    }

    #[test]
    fn whatever_lies_in_the_account_is_found_by_name() {
        for (body, path) in STORED {
            assert_eq!(named(body).as_deref(), Some(*path), "{body}");
        }
    }

    #[test]
    fn content_that_is_sent_along_and_what_only_looks_like_a_name_pass() {
        for body in [
            r#"{"messages":[{"role":"user","content":"read file_id and s3://b/k, gs://x"}]}"#,
            r#"{"contents":[{"parts":[{"text":"gs://b"},{"fileData":{"fileUri":"https://www.youtube.com/watch?v=x"}}]}]}"#,
            r#"{"messages":[{"content":[{"type":"image_url","image_url":{"url":"https://example.com/googleapis.com/x.png"}}]}]}"#,
            r#"{"messages":[{"content":[{"type":"image_url","image_url":{"url":"data:image/png;base64,AA"}}]}]}"#,
            r#"{"tools":[{"function":{"name":"f","parameters":{"properties":{"file_id":{"type":"string"},"container":{"type":"string"}}}}}]}"#,
            r#"{"tools":[{"name":"f","input_schema":{"properties":{"file_id":{"type":"string"}}}}]}"#,
            r#"{"messages":[{"content":[{"type":"tool_use","id":"t","name":"f","input":{"file_id":"x","url":"s3://b"}}]}]}"#,
            r#"{"contents":[{"parts":[{"functionCall":{"name":"f","args":{"file_id":"x"}}},{"functionResponse":{"name":"f","response":{"uri":"gs://b"}}}]}]}"#,
            r#"{"messages":[{"content":[{"toolResult":{"toolUseId":"t","content":[{"json":{"file_id":"x"}}]}}]}]}"#,
            r#"{"metadata":{"file_id":"x"},"previous_response_id":null,"audio":{"voice":"a","format":"mp3"},"voice":"alloy","prompt":"file_id"}"#,
            r#"{"container":{"skills":[{"type":"anthropic","skill_id":"pptx"}]}}"#,
            r#"{"input":[{"type":"message","id":"msg_1","role":"assistant","content":[]},{"type":"reasoning","id":"rs_1","summary":[]}]}"#,
            "--form\r\nfile_id",
            "file_id",
        ] {
            assert_eq!(named(body), None, "{body}");
        }
    }
}
