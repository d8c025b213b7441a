//! A vector: as JSON numbers the way a provider wrote them, or packed (little-endian `f32`).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::AnswerFault;
use crate::json::{Kind, Value, Writer};

/// One vector. Not printed: an embedding tells much of its text.
pub(crate) enum Vector {
    /// An array of numbers, as it was written.
    Numbers(Vec<u8>),
    /// Four bytes for each number, little-endian.
    Packed(Vec<u8>),
}

impl std::fmt::Debug for Vector {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Vector")
    }
}

impl Vector {
    /// Reads either form.
    pub(crate) fn read(value: &Value<'_>) -> Result<Self, AnswerFault> {
        match value.kind() {
            Kind::Array if value.elements().all(|number| number.kind() == Kind::Number) => {
                Ok(Self::Numbers(value.raw().to_vec()))
            }
            Kind::Text => {
                let text = value.text().unwrap_or_default();
                let packed = STANDARD.decode(text.as_bytes()).ok().filter(|bytes| bytes.len() % 4 == 0);
                packed.map(Self::Packed).ok_or(AnswerFault::Malformed("a vector is no base64 of floats"))
            }
            _ => Err(AnswerFault::Malformed("a vector is neither numbers nor base64")),
        }
    }

    /// As JSON numbers.
    pub(crate) fn write_numbers(&self, json: &mut Writer) {
        match self {
            Self::Numbers(raw) => json.raw(raw).done(),
            Self::Packed(packed) => json
                .array(|json| {
                    for number in floats(packed) {
                        // What is no number has no form in JSON.
                        json.raw(if number.is_finite() { number.to_string() } else { "0".to_owned() });
                    }
                })
                .done(),
        }
    }

    /// As base64 of packed floats.
    pub(crate) fn write_base64(&self, json: &mut Writer) {
        let packed = match self {
            Self::Packed(packed) => STANDARD.encode(packed),
            Self::Numbers(raw) => STANDARD.encode(pack(raw)),
        };
        json.text(&packed);
    }
}

fn floats(packed: &[u8]) -> impl Iterator<Item = f32> {
    packed.chunks_exact(4).map(|bytes| f32::from_le_bytes(bytes.try_into().unwrap_or_default()))
}

fn pack(raw: &[u8]) -> Vec<u8> {
    let Ok(array) = Value::parse(raw) else { return Vec::new() };
    let parsed = |value: Value<'_>| std::str::from_utf8(value.raw()).ok().and_then(|text| text.parse().ok());
    array.elements().flat_map(|value| parsed(value).unwrap_or(0f32).to_le_bytes()).collect()
}
