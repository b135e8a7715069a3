//! Values that are one of a few words.

use toml::de::DeValue;

use super::value::KeyValue;

/// Defines a closed list of words as a value.
macro_rules! word_value {
    ($(#[$meta:meta])* $name:ident, $form:literal { $($(#[$doc:meta])* $variant:ident = $text:literal,)+ }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum $name { $($(#[$doc])* $variant,)+ }

        impl KeyValue for $name {
            const FORM: &'static str = $form;

            fn read(value: &DeValue<'_>) -> Option<Self> {
                match value.as_str()? {
                    $($text => Some(Self::$variant),)+
                    _ => None,
                }
            }

            fn write(&self) -> Option<String> {
                Some(format!("\"{}\"", match self { $(Self::$variant => $text,)+ }))
            }
        }
    };
}

word_value! {
    /// How a log line is written.
    LogFormat, "\"text\" or \"json\"" {
        /// For people.
        Text = "text",
        /// One JSON object a line.
        Json = "json",
    }
}

word_value! {
    /// The least important line that is logged.
    LogLevel, "\"error\", \"warn\", \"info\", \"debug\" or \"trace\"" {
        /// Data lost, or an operator must act.
        Error = "error",
        /// Something is not as it should be.
        Warn = "warn",
        /// Starts, stops, changes.
        Info = "info",
        /// For finding faults.
        Debug = "debug",
        /// Everything.
        Trace = "trace",
    }
}

word_value! {
    /// Whether clients have to show a certificate.
    ClientCertificates, "\"optional\" or \"required\"" {
        /// They may prove themselves with a token.
        Optional = "optional",
        /// They cannot connect without.
        Required = "required",
    }
}

word_value! {
    /// What happens when the disk budget is spent.
    FullChoice, "\"refuse\" or \"drop-oldest\"" {
        /// Senders are told to try later.
        Refuse = "refuse",
        /// The oldest segment goes, whether or not it was drained.
        DropOldest = "drop-oldest",
    }
}
