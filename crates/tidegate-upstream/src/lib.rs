//! Every outbound HTTP call of Tidegate: vetted addresses, pooled connections, sign-in.
//!
//! A base URL is parsed once, its host resolved, every address vetted, and the connection
//! made to exactly the vetted address. No redirects, no proxies from the environment: the operator's
//! own is a setting.
//! Knows no dialect, no price and no tenant rule but the operator's list of private targets.

mod address;
mod auth;
mod body;
mod connect;
mod deliver;
mod endpoint;
mod failure;
mod google;
mod h1;
mod headers;
mod percent;
mod pool;
mod private;
mod proxy;
mod resolve;
mod secret;
mod send;
mod sigv4;
mod stream;
mod target;

pub use address::{AddressClass, classify};
pub use auth::{BadSecret, Means, SignIn, SignInError, Unsigned};
pub use body::ResponseBody;
pub use connect::Settings;
pub use deliver::Delivered;
pub use endpoint::{Endpoint, EndpointError};
pub use failure::{SendError, SettingsError};
pub use google::{GOOGLE_TOKEN_URL, TokenError};
pub use headers::forwarded;
pub use percent::{fill_path, segment, with_query};
pub use private::PrivateTarget;
pub use proxy::EgressProxy;
pub use resolve::Resolver;
pub use send::{Line, Prepared, RequestBody, Unsent, Upstreams, get, post};
pub use sigv4::{Keys as AwsKeys, Subject as AwsSubject};
pub use target::origin_and_tail;
