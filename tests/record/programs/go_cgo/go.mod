module cgocalls

go 1.18
