//! Gemini: what it refuses, counts, signs and bills.

use serde_json::{Value, json};

use crate::Bench;

const STUDIO: &str = "/gemini/v1beta/models/sim:generateContent";
const THINKING: &str = "/gemini/v1beta/models/gemini-3-sim:generateContent";
const VERTEX: &str = "/gemini/v1/projects/p/locations/l/publishers/google/models/sim:generateContent";
const SIGNATURE: &str = "c2ltLWdlbWluaQ==";

fn hello(more: Value) -> Value {
    let mut body = json!({"contents": [{"role": "user", "parts": [{"text": "what is the weather"}]}]});
    if let (Value::Object(body), Value::Object(more)) = (&mut body, more) {
        body.extend(more);
    }
    body
}

async fn ask(bench: &Bench, path: &str, body: &Value) -> (u16, Value) {
    let request = bench.client.post(format!("{}{path}", bench.simulator.url())).header("x-goog-api-key", "k");
    let answer = request.json(body).send().await.unwrap();
    (answer.status().as_u16(), answer.json().await.unwrap())
}

fn tools() -> Value {
    json!([{"functionDeclarations": [
        {"name": "weather", "parametersJsonSchema": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}},
        {"name": "clock", "parameters": {"type": "OBJECT", "properties": {"zone": {"type": "STRING"}}}}]}])
}

fn refused() -> Vec<Value> {
    let user = json!({"role": "user", "parts": [{"text": "q"}]});
    let call = json!({"role": "model", "parts": [{"functionCall": {"name": "f", "args": {}}}]});
    let response =
        json!({"role": "user", "parts": [{"functionResponse": {"name": "f", "response": {"output": "x"}}}]});
    let mut bodies = vec![json!({}), hello(json!({"stream": true})), hello(json!({"labels": {}}))];
    for contents in [
        json!([]),
        json!([{"role": "assistant", "parts": [{"text": "q"}]}]),
        json!([{"role": "user", "parts": []}]),
        json!([{"role": "user", "parts": [{}]}]),
        json!([{"role": "user", "parts": [{"text": ""}]}]),
        json!([{"role": "user", "parts": [{"text": "a", "inlineData": {"mimeType": "image/png", "data": "AAAA"}}]}]),
        json!([{"role": "user", "parts": [{"inlineData": {"mimeType": "image/png", "data": "!"}}]}]),
        json!([{"role": "user", "parts": [{"type": "text", "text": "a"}]}]),
        json!([{"role": "user", "parts": [{"text": "a", "thoughtSignature": "no base64!"}]}]),
        json!([response]),
        json!([user, call]),
        json!([call, response]),
        json!([user, call, user]),
        json!([user, call, response, response]),
        json!([user, call, {"role": "user", "parts": [{"functionResponse": {"name": "g", "response": {}}}]}]),
        json!([user, call, {"role": "user", "parts": [{"functionResponse": {"name": "f", "response": "x"}}]}]),
    ] {
        bodies.push(json!({ "contents": contents }));
    }
    for config in [
        json!({"maxTokens": 5}),
        json!({"maxOutputTokens": 0}),
        json!({"maxOutputTokens": 70000}),
        json!({"maxOutputTokens": 5, "max_output_tokens": 6}),
        json!({"temperature": 2.5}),
        json!({"stopSequences": ["1", "2", "3", "4", "5", "6"]}),
        json!({"responseJsonSchema": {"type": "object"}}),
        json!({"responseMimeType": "text/html"}),
        json!({"responseMimeType": "application/json", "responseSchema": {"type": "WIZARD"}}),
        json!({"responseMimeType": "application/json", "responseSchema": {"$ref": "#/x"}}),
        json!({"logprobs": 3}),
        json!({"responseModalities": ["AUDIO"]}),
        json!({"thinkingConfig": {"thinkingBudget": 5, "thinkingLevel": "LOW"}}),
        json!({"thinkingConfig": {"thinkingLevel": "HUGE"}}),
    ] {
        bodies.push(hello(json!({ "generationConfig": config })));
    }
    for more in [
        json!({"tools": [{"functionDeclarations": [{"name": "no spaces"}]}]}),
        json!({"tools": [{"functionDeclarations": [{"name": "f", "parameters": {"type": "object", "additional": 1}}]}]}),
        json!({"tools": [{"function_declarations": [{"name": "f"}, {"name": "f"}]}]}),
        json!({"tools": [{"type": "function"}]}),
        json!({"toolConfig": {"functionCallingConfig": {"mode": "ANY"}}}),
        json!({"tools": tools(), "toolConfig": {"functionCallingConfig": {"mode": "auto"}}}),
        json!({"tools": tools(), "toolConfig": {"functionCallingConfig": {"mode": "AUTO", "allowedFunctionNames": ["clock"]}}}),
        json!({"tools": tools(), "toolConfig": {"functionCallingConfig": {"mode": "ANY", "allowedFunctionNames": ["x"]}}}),
    ] {
        bodies.push(hello(more));
    }
    bodies
}

#[tokio::test]
async fn what_the_real_service_refuses_is_refused() {
    let bench = Bench::start().await;
    for body in refused() {
        let (status, answer) = ask(&bench, STUDIO, &body).await;
        assert_eq!(
            (status, &answer["error"]["status"]),
            (400, &json!("INVALID_ARGUMENT")),
            "{body}: {answer}"
        );
    }
    let (_, unknown) = ask(&bench, STUDIO, &hello(json!({"generation_config": {"maxTokens": 1}}))).await;
    let message = "Invalid JSON payload received. Unknown name \"maxTokens\" at 'generation_config': Cannot find field.";
    assert_eq!(unknown["error"]["message"], message);
    assert_eq!(ask(&bench, VERTEX, &hello(json!({"labels": {"a": "b"}}))).await.0, 200);
    assert_eq!(ask(&bench, VERTEX, &hello(json!({"store": true}))).await.0, 400);
    assert!(bench.bill().await.calls.len() == 1, "refusals cost nothing");
}

#[tokio::test]
async fn keys_are_missed_and_refused_in_the_services_words() {
    let bench = Bench::start().await;
    let status = |path: &str| {
        let request = bench.client.post(format!("{}{path}", bench.simulator.url())).json(&hello(json!({})));
        async move { request.send().await.unwrap().status().as_u16() }
    };
    assert_eq!(status(STUDIO).await, 403);
    assert_eq!(status(VERTEX).await, 401);
    assert_eq!(status(&format!("{STUDIO}?key=k")).await, 200);
}

#[tokio::test]
async fn an_answer_is_billed_as_it_reports_and_thoughts_stand_beside_it() {
    let bench = Bench::start().await;
    let config =
        json!({"generationConfig": {"thinkingConfig": {"includeThoughts": true}, "maxOutputTokens": 500}});
    let (_, answer) = ask(&bench, STUDIO, &hello(config)).await;
    let parts = &answer["candidates"][0]["content"]["parts"];
    assert_eq!(parts[0]["thought"], true);
    assert_eq!(answer["candidates"][0]["finishReason"], "STOP");
    let bill = bench.bill().await;
    let (line, usage) = (&bill.calls[0], &answer["usageMetadata"]);
    assert_eq!(line.provider, "sim-gemini");
    assert_eq!(usage["promptTokenCount"], line.usage.input_tokens);
    assert_eq!(usage["thoughtsTokenCount"], line.usage.reasoning_tokens);
    let output =
        usage["candidatesTokenCount"].as_u64().unwrap() + usage["thoughtsTokenCount"].as_u64().unwrap();
    assert_eq!(output, line.usage.output_tokens);
    assert!(output <= 500, "thoughts count against the limit");
}

#[tokio::test]
async fn streams_say_the_same_and_just_end() {
    let bench = Bench::start().await;
    let path = "/gemini/v1beta/models/sim:streamGenerateContent";
    assert_eq!(ask(&bench, path, &hello(json!({}))).await.0, 400);
    let request = bench.client.post(format!("{}{path}?alt=sse&key=k", bench.simulator.url()));
    let stream = request.json(&hello(json!({}))).send().await.unwrap().text().await.unwrap();
    let chunks: Vec<Value> = stream
        .split("\r\n\r\n")
        .filter_map(|event| event.strip_prefix("data: "))
        .map(|data| serde_json::from_str(data).unwrap())
        .collect();
    let text: String = chunks
        .iter()
        .map(|chunk| chunk["candidates"][0]["content"]["parts"][0]["text"].as_str().unwrap_or_default())
        .collect();
    let (_, whole) = ask(&bench, STUDIO, &hello(json!({}))).await;
    assert_eq!(whole["candidates"][0]["content"]["parts"][0]["text"], text);
    let last = chunks.last().unwrap();
    assert_eq!(last["candidates"][0]["finishReason"], "STOP");
    assert_eq!(last["usageMetadata"]["candidatesTokenCount"], whole["usageMetadata"]["candidatesTokenCount"]);
    assert!(chunks[0]["usageMetadata"].get("candidatesTokenCount").is_none());
}

#[tokio::test]
async fn tools_are_called_and_the_thinking_model_wants_its_signature_back() {
    let bench = Bench::start().await;
    let (_, old) = ask(&bench, STUDIO, &hello(json!({"tools": tools()}))).await;
    let old = &old["candidates"][0]["content"];
    assert_eq!(old["parts"][0]["functionCall"]["name"], "weather");
    assert!(old["parts"][0]["functionCall"].get("id").is_none());
    let any = json!({"functionCallingConfig": {"mode": "ANY", "allowedFunctionNames": ["weather", "clock"]}});
    let (_, new) = ask(&bench, THINKING, &hello(json!({"tools": tools(), "toolConfig": any}))).await;
    let call = &new["candidates"][0]["content"]["parts"][0];
    assert_eq!(call["thoughtSignature"], SIGNATURE);
    let back = |signature: Option<&str>| {
        let mut call = call.clone();
        call.as_object_mut().unwrap().remove("thoughtSignature");
        if let Some(signature) = signature {
            call["thoughtSignature"] = signature.into();
        }
        let response = json!({"functionResponse": {"name": "weather", "response": {"output": "rain"}}});
        let mut body = hello(json!({"tools": tools()}));
        body["contents"].as_array_mut().unwrap().extend([
            json!({"role": "model", "parts": [call]}),
            json!({"role": "user", "parts": [response]}),
        ]);
        body
    };
    let skip = "c2tpcF90aG91Z2h0X3NpZ25hdHVyZV92YWxpZGF0b3I=";
    for (signature, expected) in
        [(None, 400), (Some("b3RoZXI="), 400), (Some(SIGNATURE), 200), (Some(skip), 200)]
    {
        let (status, answer) = ask(&bench, THINKING, &back(signature)).await;
        assert_eq!(status, expected, "{answer}");
    }
    let (_, answer) = ask(&bench, STUDIO, &back(None)).await;
    assert_eq!(answer["candidates"][0]["content"]["parts"][0]["text"], "The tool said: rain");
}

#[tokio::test]
async fn schemas_are_followed_and_tokens_counted_for_nothing() {
    let bench = Bench::start().await;
    let schema = json!({"type": "OBJECT", "properties": {"city": {"type": "STRING"}}, "required": ["city"]});
    let config =
        json!({"generationConfig": {"responseMimeType": "application/json", "response_schema": schema}});
    let (_, answer) = ask(&bench, STUDIO, &hello(config)).await;
    let text = answer["candidates"][0]["content"]["parts"][0]["text"].as_str().unwrap();
    assert!(serde_json::from_str::<Value>(text).unwrap()["city"].is_string());
    let (_, plain) = ask(&bench, STUDIO, &hello(json!({}))).await;
    let before = bench.bill().await.calls.len();
    let (_, counted) = ask(&bench, "/gemini/v1beta/models/sim:countTokens", &hello(json!({}))).await;
    assert_eq!(counted["totalTokens"], plain["usageMetadata"]["promptTokenCount"]);
    assert_eq!(bench.bill().await.calls.len(), before);
}
