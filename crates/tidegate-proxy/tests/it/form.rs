//! Forms with files, as SDKs send them.

/// A file within a form.
#[derive(Clone, Copy)]
pub(crate) struct File<'a> {
    pub(crate) field: &'a str,
    pub(crate) name: &'a str,
    pub(crate) media_type: &'a str,
    pub(crate) bytes: &'a [u8],
}

/// The content type and the body: fields first, then files.
pub(crate) fn form(fields: &[(&str, &str)], files: &[File<'_>]) -> (String, Vec<u8>) {
    let mut out = Vec::new();
    for (name, value) in fields {
        let head = format!("--b0undary\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n");
        out.extend(head.bytes().chain(value.bytes()).chain(*b"\r\n"));
    }
    for File { field, name, media_type, bytes } in files {
        let head = format!(
            "--b0undary\r\nContent-Disposition: form-data; name=\"{field}\"; filename=\"{name}\"\r\nContent-Type: {media_type}\r\n\r\n"
        );
        out.extend(head.bytes().chain(bytes.iter().copied()).chain(*b"\r\n"));
    }
    out.extend(b"--b0undary--\r\n");
    ("multipart/form-data; boundary=b0undary".to_owned(), out)
}
