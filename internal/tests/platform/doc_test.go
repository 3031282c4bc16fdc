// Package platform_test shows, with package net alone, what the systems cannot do that internal/tests/kit names as
// reasons for leaving tests out. A test that fails here says that a reason is gone.
package platform_test
