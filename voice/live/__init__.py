"""The Live Voice API: how a session is asked for, its messages, its tokens."""
