@echo off
rem Start the gateway with the arguments given; the first time, set everything up before.
setlocal
set "python=%~dp0venv\Scripts\python.exe"
if exist "%python%" (
    "%python%" -I "%~dp0utils\environment.py" --check && goto :ready
)
call "%~dp0init.bat" || exit /b 1

:ready
"%python%" "%~dp0main.py" %*
exit /b %ERRORLEVEL%
