//! Enums of words that netviz reads.

/// Defines an enum of the words that Cilium or the kernel uses for one thing, read without regard to case.
macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$note:meta])* $variant:ident = $word:literal $(| $alias:literal)*,)+ }) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
        #[serde(from = "String", into = "String")]
        pub enum $name {
            $($(#[$note])* $variant,)+
            /// Another word, as it was read.
            Other(String),
        }

        impl From<String> for $name {
            fn from(word: String) -> Self {
                $(if [$word $(, $alias)*].iter().any(|it| word.eq_ignore_ascii_case(it)) {
                    return Self::$variant;
                })+
                Self::Other(word)
            }
        }

        impl From<&str> for $name {
            fn from(word: &str) -> Self {
                word.to_owned().into()
            }
        }

        impl From<$name> for String {
            fn from(value: $name) -> Self {
                match value {
                    $($name::$variant => $word.into(),)+
                    $name::Other(word) => word,
                }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.pad(match self {
                    $(Self::$variant => $word,)+
                    Self::Other(word) => word,
                })
            }
        }
    };
}

pub(super) use words;
