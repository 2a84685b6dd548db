//! Who sent a delivery: secrets and signatures, checked on the raw bytes and in constant time.
//!
//! Pure. Nothing is parsed before one of these checks has passed, and nothing here says which part of a proof was wrong.

use hmac::{Hmac, Mac};
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};
use subtle::{Choice, ConstantTimeEq};
use thiserror::Error;

/// The shortest secret that is taken, in bytes: a shorter one can be guessed from a signature that leaked.
pub const MIN_SECRET: usize = 16;

/// Why a secret is not taken.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error(
    "the secret for webhooks of `{source_name}` has {length} bytes: use at least {MIN_SECRET}, such as the output of `openssl rand -hex 32`"
)]
pub struct WeakSecret {
    /// The source whose secret it is.
    pub source_name: String,
    /// How long it is.
    pub length: usize,
}

/// The secrets of one source: one, or several while one is being replaced.
#[derive(Debug, Clone)]
pub struct Secrets(Vec<SecretString>);

impl Secrets {
    /// Takes the secrets of the source `source_name`.
    ///
    /// # Errors
    /// Where one is too short to be one.
    pub fn new(source_name: &str, secrets: Vec<SecretString>) -> Result<Self, WeakSecret> {
        for secret in &secrets {
            let length = secret.expose_secret().len();
            if length < MIN_SECRET {
                return Err(WeakSecret { source_name: source_name.to_owned(), length });
            }
        }
        Ok(Self(secrets))
    }

    /// Whether `signature`, in hexadecimal, is the HMAC-SHA256 of `body` under one of the secrets.
    #[must_use]
    pub fn signed(&self, signature: &str, body: &[u8]) -> bool {
        let Some(signature) = unhex(signature) else { return false };
        let tries = self.0.iter().filter_map(|secret| {
            let mut mac = Hmac::<Sha256>::new_from_slice(secret.expose_secret().as_bytes()).ok()?;
            mac.update(body);
            Some(<[u8; 32]>::from(mac.finalize().into_bytes()).ct_eq(&signature))
        });
        any(tries)
    }

    /// Whether `given` is one of the secrets. How long that takes tells neither their text nor their length.
    #[must_use]
    pub fn contains(&self, given: &str) -> bool {
        let print = |text: &str| <[u8; 32]>::from(Sha256::digest(text));
        let given = print(given);
        any(self.0.iter().map(|secret| print(secret.expose_secret()).ct_eq(&given)))
    }
}

/// Whether one of them holds; all are looked at.
fn any(choices: impl Iterator<Item = Choice>) -> bool {
    choices.fold(Choice::from(0), |one, other| one | other).into()
}

/// The 32 bytes that 64 hexadecimal digits stand for.
fn unhex(text: &str) -> Option<[u8; 32]> {
    let digit = |byte: u8| (byte as char).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let pairs = text.as_bytes();
    if pairs.len() != 64 {
        return None;
    }
    let mut bytes = [0; 32];
    for (byte, pair) in bytes.iter_mut().zip(pairs.chunks_exact(2)) {
        *byte = digit(pair[0])? << 4 | digit(pair[1])?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::hex;

    fn secrets(texts: &[&str]) -> Secrets {
        Secrets::new("a test", texts.iter().map(|text| SecretString::from(*text)).collect()).unwrap()
    }

    fn sign(secret: &str, body: &[u8]) -> String {
        let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).unwrap();
        mac.update(body);
        hex(&mac.finalize().into_bytes())
    }

    #[test]
    fn either_secret_signs_while_one_is_being_replaced() {
        let both = secrets(&["the old secret 16", "the new secret 16"]);
        assert!(both.signed(&sign("the old secret 16", b"body"), b"body"));
        assert!(both.signed(&sign("the new secret 16", b"body").to_uppercase(), b"body"));
        assert!(!both.signed(&sign("another secret 16", b"body"), b"body"));
        assert!(!both.signed(&sign("the old secret 16", b"body"), b"bodY"));
        assert!(both.contains("the old secret 16") && both.contains("the new secret 16"));
        assert!(!both.contains("the old secret 1") && !both.contains(""));
    }

    #[test]
    fn a_known_signature_holds() {
        // RFC 4231, test case 6: a key that is longer than a block.
        let key = "\u{2a}".repeat(131);
        assert!(
            secrets(&[&key]).signed(
                &sign(&key, b"Test Using Larger Than Block-Size Key"),
                b"Test Using Larger Than Block-Size Key"
            )
        );
        // GitHub's documentation of `X-Hub-Signature-256`.
        let known = "757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";
        assert!(secrets(&["It's a Secret to Everybody"]).signed(known, b"Hello, World!"));
    }

    #[test]
    fn what_is_no_signature_is_refused() {
        let one = secrets(&["the old secret 16"]);
        for signature in ["", "00", &"0".repeat(63), &"g".repeat(64), &"é".repeat(32), &"0".repeat(64)] {
            assert!(!one.signed(signature, b""), "{signature}");
        }
        assert!(!secrets(&[]).contains("") && !secrets(&[]).signed(&"0".repeat(64), b""));
    }

    #[test]
    fn a_short_secret_is_said_and_not_shown() {
        let error = Secrets::new("gitea", vec!["hunter2".into()]).unwrap_err().to_string();
        assert!(error.contains("`gitea`") && error.contains("7 bytes") && !error.contains("hunter2"), "{error}");
    }
}
