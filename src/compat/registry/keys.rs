//! Names of the key codes that remote-control keymaps use.
//!
//! Codes that no keymap of Debian's Linux 6.1 has are left out and shown as
//! numbers: a name costs image.
//!
//! Reference: Linux's `include/uapi/linux/input-event-codes.h`.

use core::fmt;

use crate::text;

/// As [`text::numbered`] reads them; `KEY_` is left off.
const NAMES: &str = "\
=0 RESERVED ESC 1 2 3 4 5 6 7 8 9 0 MINUS EQUAL BACKSPACE TAB =18 E =23 I =25 P =28 \
ENTER =30 A S D F =38 L =41 GRAVE =46 C =48 B =50 M =52 DOT =55 KPASTERISK =57 SPACE \
CAPSLOCK F1 F2 F3 F4 F5 F6 =69 NUMLOCK =74 KPMINUS =78 KPPLUS =96 KPENTER =99 SYSRQ \
=102 HOME UP PAGEUP LEFT RIGHT END DOWN PAGEDOWN =111 DELETE MACRO MUTE VOLUMEDOWN \
VOLUMEUP POWER =118 KPPLUSMINUS PAUSE =127 COMPOSE STOP AGAIN PROPS =132 FRONT =134 \
OPEN =138 HELP MENU =141 SETUP SLEEP =150 WWW =154 CYCLEWINDOWS =156 BOOKMARKS =158 \
BACK FORWARD CLOSECD EJECTCD EJECTCLOSECD NEXTSONG PLAYPAUSE PREVIOUSSONG STOPCD \
RECORD REWIND PHONE =171 CONFIG HOMEPAGE REFRESH EXIT =176 EDIT SCROLLUP SCROLLDOWN \
=181 NEW =183 F13 F14 F15 F16 F17 F18 F19 F20 F21 F22 =194 F24 =204 ALL_APPLICATIONS \
=206 CLOSE PLAY FASTFORWARD =210 PRINT =212 CAMERA SOUND =215 EMAIL =217 SEARCH =223 \
CANCEL BRIGHTNESSDOWN BRIGHTNESSUP MEDIA SWITCHVIDEOMODE =234 SAVE =240 UNKNOWN \
VIDEO_NEXT =256 BTN_0 BTN_1 BTN_2 =272 BTN_LEFT BTN_RIGHT BTN_MIDDLE =352 OK SELECT \
GOTO CLEAR POWER2 OPTION INFO TIME VENDOR =362 PROGRAM CHANNEL FAVORITES EPG PVR \
=368 LANGUAGE TITLE SUBTITLE ANGLE FULL_SCREEN MODE KEYBOARD ASPECT_RATIO PC TV TV2 \
VCR =383 CD =385 RADIO TUNER PLAYER TEXT DVD AUX MP3 AUDIO VIDEO DIRECTORY LIST =398 \
RED GREEN YELLOW BLUE CHANNELUP CHANNELDOWN =405 LAST AB NEXT RESTART SLOW SHUFFLE \
BREAK PREVIOUS DIGITS =425 PRESENTATION =430 MESSENGER =438 CONTEXT_MENU \
MEDIA_REPEAT 10CHANNELSUP 10CHANNELSDOWN IMAGES =464 FN =512 NUMERIC_0 NUMERIC_1 \
NUMERIC_2 NUMERIC_3 NUMERIC_4 NUMERIC_5 NUMERIC_6 NUMERIC_7 NUMERIC_8 NUMERIC_9 \
NUMERIC_STAR NUMERIC_POUND =580 APPSELECT SCREENSAVER =622 AUDIO_DESC 3D_MODE";

/// A key code, shown with its name if it has one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Key(pub u32);

impl Key {
    /// Its name, without `KEY_`.
    fn name(self) -> Option<&'static str> {
        text::numbered(NAMES, self.0)
    }
}

impl fmt::Display for Key {
    #[cfg_attr(target_os = "none", optimize(size))]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) if name.starts_with("BTN_") => f.write_str(name),
            Some(name) => write!(f, "KEY_{name}"),
            None => write!(f, "{:#x}", self.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Codes from Linux's header.
    #[test]
    fn codes_have_the_names_of_linux() {
        let names = [
            (0, "KEY_RESERVED"),
            (2, "KEY_1"),
            (28, "KEY_ENTER"),
            (113, "KEY_MUTE"),
            (116, "KEY_POWER"),
            (272, "BTN_LEFT"),
            (0x160, "KEY_OK"),
            (0x200, "KEY_NUMERIC_0"),
            (0x209, "KEY_NUMERIC_9"),
            (0x26e, "KEY_AUDIO_DESC"),
        ];
        for (code, name) in names {
            assert_eq!(Key(code).to_string(), name);
        }
        assert_eq!(Key(0x27f).to_string(), "0x27f");
        assert_eq!(Key(16).to_string(), "0x10"); // KEY_Q: no remote control has it
    }
}
