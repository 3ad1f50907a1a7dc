/// A kind of store call.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Operation {
    Load,
    Create,
    Save,
    Touch,
    Rotate,
    End,
    EndOthers,
    List,
    Sweep,
    Stats,
}

/// How a store call has ended.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Outcome {
    Hit,
    Miss,
    Stored,
    Conflict,
    Gone,
    Done,
    Nothing,
    Error,
}

impl Operation {
    #[cfg(feature = "metrics")]
    pub(super) const ALL: [Self; 10] = [
        Self::Load,
        Self::Create,
        Self::Save,
        Self::Touch,
        Self::Rotate,
        Self::End,
        Self::EndOthers,
        Self::List,
        Self::Sweep,
        Self::Stats,
    ];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Load => "load",
            Self::Create => "create",
            Self::Save => "save",
            Self::Touch => "touch",
            Self::Rotate => "rotate",
            Self::End => "end",
            Self::EndOthers => "end_others",
            Self::List => "list",
            Self::Sweep => "sweep",
            Self::Stats => "stats",
        }
    }
}

impl Outcome {
    #[cfg(feature = "metrics")]
    pub(super) const ALL: [Self; 8] = [
        Self::Hit,
        Self::Miss,
        Self::Stored,
        Self::Conflict,
        Self::Gone,
        Self::Done,
        Self::Nothing,
        Self::Error,
    ];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Hit => "hit",
            Self::Miss => "miss",
            Self::Stored => "stored",
            Self::Conflict => "conflict",
            Self::Gone => "gone",
            Self::Done => "done",
            Self::Nothing => "nothing",
            Self::Error => "error",
        }
    }
}
