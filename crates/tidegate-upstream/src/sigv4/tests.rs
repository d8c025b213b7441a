//! AWS's documented example suite, and requests to Bedrock as botocore 1.43 signs them.

use http::HeaderMap;
use tidegate_types::Timestamp;

use super::*;

const SECRET: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";

fn keys(token: Option<&str>, region: &str) -> Keys {
    Keys::new("AKIDEXAMPLE", SECRET, token, region).unwrap()
}

fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in pairs {
        headers.append(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
    headers
}

/// The suite's requests carry no hash of the body.
fn suite(
    method: &str,
    path: &str,
    pairs: &[(&'static str, &'static str)],
    body: &str,
    token: Option<&str>,
) -> String {
    let mut headers = headers(pairs);
    let path = PathAndQuery::try_from(path.to_owned()).unwrap();
    let host = HeaderValue::from_static("example.amazonaws.com");
    let subject = Subject { method, host: &host, path: &path, body: body.as_bytes() };
    let hash = hex::encode(Sha256::digest(body.as_bytes()));
    let now: Timestamp = "2015-08-30T12:36:00Z".parse().unwrap();
    keys(token, "us-east-1").put_authorization("service", subject, &mut headers, &hash, now);
    assert_eq!(headers["x-amz-date"], "20150830T123600Z");
    headers[header::AUTHORIZATION].to_str().unwrap().to_owned()
}

fn expected(signed: &str, signature: &str) -> String {
    format!(
        "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, SignedHeaders={signed}, Signature={signature}"
    )
}

#[test]
fn the_documented_examples_have_their_documented_signatures() {
    let plain = "host;x-amz-date";
    let unreserved = "/-._~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    for (path, signature) in [
        ("/", "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"),
        (unreserved, "07ef7494c76fa4850883e2b006601f940f8a34d404d0cfa977f52a65bbf5f24f"),
        ("//example//", "9a624bd73a37c9a373b5312afbebe7a714a789de108f0bdfe846570885f57e84"),
        ("/?Param2=value2&Param1=value1", "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500"),
        ("/?Param1=value2&Param1=value1", "5772eed61e12b33fae39ee5e7012498b51d56abc0abb7c60486157bd471c4694"),
        ("/?%E1%88%B4=bar", "2cdec8eed098649ff3a119c94853b13c643bcf08f8b0a1d91e12c9027818dd04"),
    ] {
        assert_eq!(suite("GET", path, &[], "", None), expected(plain, signature), "{path}");
    }
}

#[test]
fn headers_are_sorted_joined_and_trimmed_as_documented() {
    let order = [
        ("my-header1", "value4"),
        ("my-header1", "value1"),
        ("my-header1", "value3"),
        ("my-header1", "value2"),
    ];
    assert_eq!(
        suite("GET", "/", &order, "", None),
        expected(
            "host;my-header1;x-amz-date",
            "08c7e5a9acfcfeb3ab6b2185e75ce8b1deb5e634ec47601a50643f830c755c01"
        )
    );
    let trim = [("my-header1", " value1"), ("my-header2", " \"a   b   c\"")];
    assert_eq!(
        suite("GET", "/", &trim, "", None),
        expected(
            "host;my-header1;my-header2;x-amz-date",
            "acc3ed3afb60bb290fc8d2dd0098b9911fcaa05412b367055dee359757a9c736"
        )
    );
    let form = [("content-type", "application/x-www-form-urlencoded")];
    assert_eq!(
        suite("POST", "/", &form, "Param1=value1", None),
        expected(
            "content-type;host;x-amz-date",
            "ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a"
        )
    );
    let token = "6e86291e8372ff2a2260956d9b8aae1d763fbf315fa00fa31553b73ebf194267";
    assert_eq!(
        suite("GET", "/", &[], "", Some(token)),
        expected(
            "host;x-amz-date;x-amz-security-token",
            "07ec1639c89043aa0e3e2de82b96708f198cceab042d4a97044c66dd9f74e7f8"
        )
    );
}

#[test]
fn bedrock_paths_are_signed_with_their_escapes_escaped() {
    let now: Timestamp = "2026-11-21T10:20:30.5Z".parse().unwrap();
    let sign = |region: &str, token, path: &str, pairs: &[(&'static str, &'static str)], body: &str| {
        let mut headers = headers(pairs);
        headers.insert(header::USER_AGENT, HeaderValue::from_static("not signed"));
        let host = HeaderValue::try_from(format!("bedrock-runtime.{region}.amazonaws.com")).unwrap();
        let path = PathAndQuery::try_from(path.to_owned()).unwrap();
        let subject = Subject { method: "POST", host: &host, path: &path, body: body.as_bytes() };
        keys(token, region).sign("bedrock", subject, &mut headers, now);
        headers[header::AUTHORIZATION].to_str().unwrap().to_owned()
    };
    let json = ("content-type", "application/json");
    let model = "/model/anthropic.claude-3-5-sonnet-20240620-v1%3A0/converse";
    assert!(
        sign("us-east-1", None, model, &[json], r#"{"messages":[]}"#)
            .ends_with("SignedHeaders=content-type;host;x-amz-content-sha256;x-amz-date, Signature=8f3a5517d7225da6fb443294ec51bb21006cf29737f409616e5bb60b1222991c")
    );
    let profile =
        "/model/arn%3Aaws%3Abedrock%3Aeu-west-1%3A123456789012%3Ainference-profile%2Feu.x/converse-stream";
    let body = r#"{"messages":[{"role":"user","content":[{"text":"ü"}]}]}"#;
    let pairs = [json, ("x-client-request-id", "abc")];
    assert!(
        sign("eu-west-1", Some("FwoGZXIvYXdz/token=="), profile, &pairs, body)
            .ends_with("Signature=3289ae2af672523447a88fb4b1157ce81c2d477fea859cad41d4877394692e55")
    );
}

#[test]
fn malformed_keys_are_no_keys() {
    for (id, secret, token, region) in [
        ("", "s", None, "r"),
        ("a", "", None, "r"),
        ("a", "s", None, ""),
        ("a\n", "s", None, "r"),
        ("a", "s", Some("a\r\nb"), "r"),
    ] {
        assert!(Keys::new(id, secret, token, region).is_err());
    }
}
