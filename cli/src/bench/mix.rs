use std::str::FromStr;

/// What a caller can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Operation {
    Load,
    Touch,
    Save,
    Create,
    Rotate,
    End,
}

impl Operation {
    pub(crate) const ALL: [Self; 6] = [
        Self::Load,
        Self::Touch,
        Self::Save,
        Self::Create,
        Self::Rotate,
        Self::End,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Load => "load",
            Self::Touch => "touch",
            Self::Save => "save",
            Self::Create => "create",
            Self::Rotate => "rotate",
            Self::End => "end",
        }
    }
}

/// How often each call is made, as `load=8,save=1`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Mix {
    weights: [u32; Operation::ALL.len()],
}

impl Mix {
    /// One of them, at random.
    pub(crate) fn pick(&self) -> Operation {
        let all: u32 = self.weights.iter().sum();
        let mut left = fastrand::u32(..all);
        for (operation, weight) in Operation::ALL.into_iter().zip(self.weights) {
            match left.checked_sub(weight) {
                Some(rest) => left = rest,
                None => return operation,
            }
        }
        Operation::Load
    }
}

impl FromStr for Mix {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut weights = [0; Operation::ALL.len()];
        for part in text.split(',') {
            let (name, weight) = part.split_once('=').ok_or("it is like load=8,save=1")?;
            let mut known = Operation::ALL.into_iter().zip(&mut weights);
            let (_, found) = known
                .find(|(operation, _)| operation.name() == name)
                .ok_or_else(|| {
                    format!("{name:?} is none of load, touch, save, create, rotate, end")
                })?;
            let weight: u16 = weight
                .parse()
                .map_err(|_| format!("{weight:?} is not a number up to 65535"))?;
            *found = u32::from(weight);
        }
        match weights.iter().any(|&weight| weight > 0) {
            true => Ok(Self { weights }),
            false => Err("at least one is more than 0".into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mix_is_numbers_by_name() {
        let mix: Mix = "save=3,load=1".parse().unwrap();
        assert_eq!(mix.weights, [1, 0, 3, 0, 0, 0]);
        for wrong in [
            "", "load", "load=", "load=-1", "load=x", "load=0", "sing=1", "load=1,",
        ] {
            assert!(wrong.parse::<Mix>().is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn calls_are_picked_as_often_as_the_mix_says() {
        let mix: Mix = "load=9,end=1,save=0".parse().unwrap();
        let picked = |wanted| (0..10_000).filter(|_| mix.pick() == wanted).count();
        assert!((8_500..9_500).contains(&picked(Operation::Load)));
        assert!((500..1_500).contains(&picked(Operation::End)));
        assert_eq!(picked(Operation::Save), 0);
    }
}
