//! Options for single providers (`providerOptions`), as the AI SDK's clients give them.

use super::Form;
use crate::json::{Value, Writer};
use crate::read::{Fields, Path};
use crate::{Content, RequestError};

/// Options by provider, each value as it was written.
#[derive(Debug, Default)]
pub(crate) struct Wishes(Vec<(String, Options)>);

type Options = Vec<(String, Content)>;

impl Wishes {
    /// Reads `providerOptions` but the gateway's own.
    pub(crate) fn read(fields: &mut Fields<'_>) -> Result<Self, RequestError> {
        let path = Path::Root.key("providerOptions");
        let mut wishes = Vec::new();
        let Some(options) = fields.take("providerOptions") else { return Ok(Self(wishes)) };
        for member in Fields::read(&options, path)?.iter().filter(|member| member.key != "gateway") {
            let path = path.key(&member.key);
            let raw = |value: &Value<'_>| Content::new(String::from_utf8_lossy(value.raw()).into_owned());
            let of_provider = Fields::read(&member.value, path)?;
            let known = of_provider.iter().filter(|option| !option.value.is_null());
            let known = known.map(|option| (option.key.clone().into_owned(), raw(&option.value)));
            wishes.push((member.key.clone().into_owned(), known.collect()));
        }
        Ok(Self(wishes))
    }

    /// Writes the options for one of these providers under the names that its requests have;
    /// options for others fall away, unknown ones are refused by name.
    pub(crate) fn write(
        &self,
        json: &mut Writer,
        providers: &[&str],
        names: &[(&str, &str)],
    ) -> Result<(), RequestError> {
        self.write_but(json, providers, names, &[])
    }

    /// The same, where some options are written elsewhere.
    pub(crate) fn write_but(
        &self,
        json: &mut Writer,
        providers: &[&str],
        names: &[(&str, &str)],
        elsewhere: &[&str],
    ) -> Result<(), RequestError> {
        let mut written = Vec::new();
        for (provider, options) in self.of(providers) {
            let here = options.iter().filter(|(option, _)| !elsewhere.contains(&option.as_str()));
            for (option, value) in here {
                let Some((_, name)) = names.iter().find(|(known, _)| known == option) else {
                    let field = Path::Root.key("providerOptions").key(provider).key(option).to_string();
                    let why = "the gateway does not know this option";
                    return Err(RequestError::Untranslatable { field, why });
                };
                // Given under two names of the same provider: the first counts.
                if !written.contains(name) {
                    json.key(name).raw(value.expose());
                    written.push(*name);
                }
            }
        }
        Ok(())
    }

    fn of<'w, 'p>(
        &'w self,
        providers: &'p [&'p str],
    ) -> impl Iterator<Item = &'w (String, Options)> + use<'w, 'p> {
        self.0.iter().filter(|(name, _)| providers.contains(&name.as_str()))
    }

    /// Whether [`Self::write`] writes a member of this name: then the call's own field gives way.
    pub(crate) fn sets(&self, providers: &[&str], names: &[(&str, &str)], member: &str) -> bool {
        let is_it = |option: &str| names.iter().any(|(known, name)| *known == option && *name == member);
        self.of(providers).any(|(_, options)| options.iter().any(|(option, _)| is_it(option)))
    }

    /// Fills options into a form, texts without their quotes.
    pub(crate) fn fill(
        &self,
        form: &mut Form,
        providers: &[&str],
        names: &[(&str, &str)],
    ) -> Result<(), RequestError> {
        let mut json = Writer::new();
        let mut outcome = Ok(());
        json.object(|json| outcome = self.write(json, providers, names));
        outcome?;
        let written = json.into_bytes();
        let Ok(options) = Value::parse(&written) else { return Ok(()) };
        for option in options.members() {
            let text = option.value.text().unwrap_or_else(|| String::from_utf8_lossy(option.value.raw()));
            form.set(&option.key, &text);
        }
        Ok(())
    }

    /// The value of an option for one of these providers, as it was written.
    pub(crate) fn get(&self, providers: &[&str], option: &str) -> Option<&str> {
        let mut all = self.of(providers).flat_map(|(_, options)| options);
        all.find(|(name, _)| name == option).map(|(_, value)| value.expose())
    }
}
