//! What needs no server: lost answers, and rates in every order of messages.

mod books;
mod rates;
