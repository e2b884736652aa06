//! The CCP-1 wire.

pub mod control;
pub mod diagnostic;
pub mod frame;
pub mod ids;
pub mod kind;
pub mod limits;
pub mod stage;
pub mod titles;
pub mod varint;

pub use diagnostic::Diagnostic;
pub use frame::{Frame, Parsed};
pub use ids::{
    CallId, ChannelId, DeviceId, GroupId, Handle, IdError, Sequence, SessionToken, UserId,
};
pub use kind::FrameType;
pub use limits::FrameLimits;
pub use stage::Stage;
pub use titles::Title;
